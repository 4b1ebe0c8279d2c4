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

result<void> check_scoped_name(std::string_view name, std::string_view what) {
  if (name.find(tenant_separator) != name.npos) CHECK(check_name(tenant_of(name), "the tenant"));
  return check_name(local_name(name), what);
}

result<std::string> scoped_name(std::string_view tenant, std::string_view name) {
  if (name.find(tenant_separator) != name.npos)
    return fail(errc::invalid_argument, fmt::format("a name must not hold \"{}\"", tenant_separator));
  if (tenant.empty()) return std::string(name);
  return fmt::format("{}{}{}", tenant, tenant_separator, name);
}

result<std::string> new_scoped_name(std::string_view tenant, std::string_view name, std::string_view what) {
  TRY(auto scoped, scoped_name(tenant, name));
  CHECK(check_scoped_name(scoped, what));
  return scoped;
}

std::string_view tenant_of(std::string_view scoped) noexcept {
  const auto at = scoped.find(tenant_separator);
  return at == scoped.npos ? std::string_view() : scoped.substr(0, at);
}

std::string_view local_name(std::string_view scoped) noexcept {
  const auto at = scoped.find(tenant_separator);
  return at == scoped.npos ? scoped : scoped.substr(at + 1);
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
