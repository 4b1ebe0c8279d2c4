#include "apps/log_format.h"

#include <spdlog/details/log_msg.h>
#include <spdlog/pattern_formatter.h>

#include "base/encoding.h"
#include "base/time.h"

namespace evp::apps {
namespace {

/// As a JSON string (RFC 8259, 7). Bytes that are no UTF-8 make the whole text percent-encoded.
void append_json_string(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  const std::string encoded = is_utf8(text) ? std::string() : percent_encode(text);
  out += '"';
  for (const char c : encoded.empty() ? text : std::string_view(encoded)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out.append(1, '\\').append(1, c);
    else if (c == '\n')
      out += "\\n";
    else if (byte < 0x20 || byte == 0x7f)
      out.append("\\u00").append(1, hex[byte >> 4]).append(1, hex[byte & 15]);
    else
      out += c;
  }
  out += '"';
}

class json_formatter final : public spdlog::formatter {
 public:
  explicit json_formatter(std::string program) : program_(std::move(program)) {}

  void format(const spdlog::details::log_msg& m, spdlog::memory_buf_t& to) override {
    const auto level = spdlog::level::to_string_view(m.level);
    std::string line = R"({"time":")" + format_rfc3339(std::chrono::floor<milliseconds>(m.time)) + R"(","level":")";
    line.append(level.data(), level.size()).append(R"(","program":)");
    append_json_string(line, program_);
    line += R"(,"message":)";
    append_json_string(line, {m.payload.data(), m.payload.size()});
    line += "}\n";
    to.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<json_formatter>(program_); }

 private:
  std::string program_;
};

}  // namespace

std::unique_ptr<spdlog::formatter> make_log_formatter(log_format f, std::string program) {
  if (f == log_format::json) return std::make_unique<json_formatter>(std::move(program));
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
}

}  // namespace evp::apps
