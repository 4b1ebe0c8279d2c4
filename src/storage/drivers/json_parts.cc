#include "storage/drivers/json_parts.h"

#include <fmt/format.h>

#include "auth/credentials/issuer_exchange.h"
#include "auth/json_text.h"

namespace evp::storage {
namespace {

constexpr std::string_view peer = "the storage";
constexpr std::int64_t max_number = 50'000;

tl::unexpected<error> not_understood() {
  return fail(errc::data_corrupt, "the storage's answer about an upload in parts is not understood");
}

}  // namespace

result<std::string> json_upload_id(const json_part_names& names, std::string_view body) {
  const auto answer = auth::issuer_fields::parse(body, peer);
  if (!answer) return not_understood();
  auto id = answer->text_or_empty(names.upload_id);
  if (id.empty() || id.size() > max_upload_id_bytes) return not_understood();
  return id;
}

result<void> read_json_parts(const json_part_names& names, std::string_view body, s3_part_list& to) {
  const auto answer = auth::issuer_fields::parse(body, peer);
  if (!answer || answer->text_or_empty(names.upload_id).empty()) return not_understood();
  const auto page = answer->objects(names.parts);
  for (const auto& part : page) {
    const auto number = part.integer(names.number), size = part.integer(names.size);
    stored_part p;
    p.etag = part.text_or_empty(names.etag);
    if (!number || !size || *number < 1 || *number > max_number || *size < 0 || p.etag.empty()) return not_understood();
    p.number = unsigned(*number);
    p.size = std::uint64_t(*size);
    if (!to.parts.empty() && p.number <= to.parts.back().number) return not_understood();
    to.parts.push_back(std::move(p));
  }
  to.more = !page.empty() && answer->boolean(names.truncated).value_or(false);
  return {};
}

std::string json_commit_body(const json_part_names& names, const std::vector<stored_part>& parts) {
  std::string out = fmt::format(R"({{"{}":[)", names.parts);
  for (const auto& p : parts)
    out += fmt::format(R"({}{{"{}":{},"{}":{}}})", out.ends_with('[') ? "" : ",", names.number, p.number, names.etag,
                       auth::json_quoted(p.etag));
  return out + "]}";
}

}  // namespace evp::storage
