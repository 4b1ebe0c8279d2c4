#include "base/names.h"

#include <fmt/format.h>

#include "base/encoding.h"

namespace evp {
namespace {

constexpr std::size_t name_max = 64;           // fits a topic, a socket path and a file name with room to spare
constexpr std::size_t object_name_max = 1000;  // S3 and Azure take 1,024; the rest is for prefixes we add

bool is_alphanumeric(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

result<void> check_name(std::string_view name, std::string_view what) {
  bool ok = !name.empty() && name.size() <= name_max && is_alphanumeric(name[0]);
  for (const char c : name) ok = ok && (is_alphanumeric(c) || c == '-' || c == '.' || c == '_');
  if (ok) return {};
  return fail(errc::invalid_argument,
              fmt::format("{} must be 1 to {} characters from A-Z a-z 0-9 - . _ and begin with a letter or digit", what, name_max));
}

result<void> check_object_name(std::string_view name) {
  if (name.empty() || name.size() > object_name_max)
    return fail(errc::invalid_argument, fmt::format("an object name must have 1 to {} bytes", object_name_max));
  if (!is_utf8(name)) return fail(errc::invalid_argument, "an object name must be UTF-8");
  if (has_control_characters(name) || name.find('\\') != name.npos)
    return fail(errc::invalid_argument, "an object name must not hold control characters or a backslash");
  for (std::size_t at = 0; at <= name.size();) {
    const auto end = std::min(name.find('/', at), name.size());
    const auto segment = name.substr(at, end - at);
    if (segment.empty() || segment == "." || segment == "..")
      return fail(errc::invalid_argument, "an object name must not begin or end with '/', nor hold '//', '.' or '..' as a segment");
    at = end + 1;
  }
  return {};
}

}  // namespace evp
