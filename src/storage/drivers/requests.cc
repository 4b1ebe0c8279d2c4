#include "storage/drivers/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace evp::storage {
namespace {

bool is_alphanumeric(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_token_character(char c) {
  return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// What the HTTP stack sets itself, or what would change the framing of the message.
constexpr std::string_view reserved_fields[] = {
    "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade", "TE", "Trailer", "Authorization"};

constexpr std::string_view changing_fields[] = {"User-Agent", "Accept-Encoding", "Accept", "X-Amzn-Trace-Id", "Via"};

constexpr std::size_t field_max = 1024;

// The public agent builds its request head in 2,176 bytes (docs/protocol.md); the rest is for what it adds itself.
constexpr std::size_t small_head_max = 2000;

// The names under which storages say "I don't believe who you are".
constexpr std::string_view credential_codes[] = {
    "SignatureDoesNotMatch", "InvalidAccessKeyId",   "ExpiredToken",         "InvalidToken",
    "RequestTimeTooSkewed",  "AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo",
    "TokenRefreshRequired",  "SecurityTokenExpired", "InvalidSecurityToken",
};

/// A vendor's code is text from outside: short, letters, digits and '_', or nothing.
std::string clean_code(std::string_view code) {
  if (code.size() > 64) return {};
  for (const char c : code)
    if (!is_alphanumeric(c) && c != '_') return {};
  return std::string(code);
}

errc code_of(int status, std::string_view vendor_code) {
  for (const auto known : credential_codes)
    if (vendor_code == known) return errc::unauthenticated;
  if (status == 401) return errc::unauthenticated;
  if (status == 403) return errc::permission_denied;
  if (status == 404) return errc::not_found;
  if (status == 413) return errc::too_large;
  if (status == 429) return errc::rate_limited;
  if (status == 408 || status >= 500) return errc::unavailable;
  if (status == 409 || status == 412) return errc::failed_precondition;
  if (status >= 300 && status < 400) return errc::failed_precondition;
  return errc::invalid_argument;
}

std::string_view advice(errc code, int status) {
  if (status >= 300 && status < 400) return ": it sends us elsewhere; check the endpoint and the region";
  switch (code) {
    case errc::unauthenticated: return ": check the credentials and this machine's clock";
    case errc::permission_denied: return ": give the credentials this permission";
    case errc::unavailable:
    case errc::rate_limited: return ": try again later";
    default: return "";
  }
}

}  // namespace

result<void> check_fields(const http::headers& fields) {
  for (const auto& f : fields) {
    bool ok = !f.name.empty() && f.name.size() + f.value.size() <= field_max;
    for (const char c : f.name) ok = ok && is_token_character(c);
    for (const unsigned char c : f.value) ok = ok && ((c >= 0x20 && c != 0x7f) || c == '\t');
    if (!ok)
      return fail(errc::invalid_argument, "headers",
                  "a header has a name or value that HTTP does not allow, or is longer than 1024 bytes");
    for (const auto name : reserved_fields)
      if (http::same_name(f.name, name))
        return fail(errc::invalid_argument, "headers", fmt::format("{} cannot be set here: the sender sets it", name));
  }
  return {};
}

bool arrives_unchanged(std::string_view field) {
  for (const auto name : changing_fields)
    if (http::same_name(field, name)) return false;
  return true;
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

result<void> check_lifetime(milliseconds lifetime, milliseconds max) {
  if (lifetime >= seconds(1) && lifetime <= max) return {};
  return fail(errc::invalid_argument, "expirationDuration",
              "must be from PT1S to " + format_iso8601_duration(max) + " for this storage");
}

result<void> check_bounds(const sign_spec& spec, bounds enforced) {
  const std::pair<bound, bool> asked[] = {
      {bound::prefix, spec.is_prefix},
      {bound::size, spec.size.has_value()},
      {bound::max_size, spec.max_size.has_value()},
      {bound::content_type, !spec.content_type.empty()},
      {bound::sha256, !spec.sha256.empty()},
      {bound::create_only, spec.create_only},
      {bound::source_address, !spec.source_address.empty()},
  };
  for (const auto& [what, wanted] : asked) {
    if (!wanted || enforced.has(what)) continue;
    for (const auto& n : bound_names())
      if (n.what == what)
        return fail(errc::unsupported, fmt::format("this storage cannot bound a grant by {}", n.name));
  }
  return {};
}

result<void> check_small_head(const signed_request& r) {
  const auto& url = r.url.reveal();
  const auto host = url.find("://") + 3;
  auto size = url.size() - std::min(url.find('/', host), url.size());
  for (const auto& f : r.fields) size += f.name.size() + f.value.size() + 4;
  if (size < small_head_max) return {};
  return fail(
      errc::invalid_argument,
      "the signed request is too long for this device's agent (path, query and headers together must stay below "
      "2000 bytes): use a shorter object name or credentials without a session token");
}

result<void> bind_content_type(http::headers& fields, const std::string& type) {
  if (type.empty()) return {};
  const auto given = http::find(fields, "Content-Type");
  if (given.empty())
    fields.push_back({"Content-Type", type});
  else if (given != type)
    return fail(errc::invalid_argument, "headers", "Content-Type of the service and of the request differ");
  return {};
}

timestamp expiry_of(timestamp now, milliseconds lifetime) { return std::chrono::floor<seconds>(now + lifetime); }

result<milliseconds> lifetime_within(milliseconds wanted, timestamp dies, timestamp now) {
  if (dies == timestamp::max() || dies - now >= wanted) return wanted;
  const auto left = dies - now;
  if (left >= std::min(wanted, grant_least)) return left;
  return fail(
      error(errc::unavailable,
            "the storage's credential is about to expire and no new one could be had: the service's health says "
            "why")
          .after(seconds(5)));
}

error retired_error() {
  return error(errc::failed_precondition, "the storage access service was changed or removed meanwhile: ask again");
}

result<void> check_container_name(std::string_view name, std::string_view field, bool dots) {
  bool ok = name.size() >= 3 && name.size() <= 63 && name.find("--") == name.npos && name.find("..") == name.npos;
  for (const char c : name)
    ok = ok && (((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) || c == '-' || (dots && c == '.'));
  ok = ok && is_alphanumeric(name.front()) && is_alphanumeric(name.back());
  if (ok) return {};
  return fail(
      errc::invalid_argument, std::string(field),
      fmt::format("must have 3 to 63 characters a-z 0-9 -{}, begin and end with a letter or digit", dots ? " ." : ""));
}

std::string plain_http_warning(const endpoint& e) {
  if (e.scheme == "https" || e.host == "localhost" || e.host.starts_with("127.") || e.host == "[::1]") return {};
  return "The endpoint is http: files and signed URLs can be read on the way. Use https where the storage offers it.";
}

error error_of_answer(const http::response& answer, std::string_view doing, std::string_view vendor_code) {
  const auto name = clean_code(vendor_code);
  const auto code = code_of(answer.status, name);
  error e(code, fmt::format("the storage answered {}{}{} when asked to {}{}", answer.status, name.empty() ? "" : " ",
                            name, doing, advice(code, answer.status)));
  const auto wait = http::find(answer.fields, "Retry-After");
  int whole_seconds = 0;
  const auto [end, ec] = std::from_chars(wait.data(), wait.data() + wait.size(), whole_seconds);
  if (!wait.empty() && ec == std::errc() && end == wait.data() + wait.size() && whole_seconds >= 0 &&
      whole_seconds <= 3600)
    return std::move(e).after(seconds(whole_seconds));
  return e;
}

std::string s3_error_code(std::string_view body) {
  const auto begin = body.find("<Code>");
  if (begin == body.npos) return {};
  const auto end = body.find("</Code>", begin);
  return end == body.npos ? std::string() : std::string(body.substr(begin + 6, end - begin - 6));
}

std::string json_text_in(std::string_view body, std::string_view name) {
  const auto key = "\"" + std::string(name) + "\"";
  auto at = body.find(key);
  if (at == body.npos) return {};
  at = body.find_first_not_of(" \t\r\n:", at + key.size());
  if (at == body.npos || body[at] != '"') return {};
  const auto end = body.find_first_of("\"\\", at + 1);
  return end == body.npos || body[end] == '\\' ? std::string() : std::string(body.substr(at + 1, end - at - 1));
}

std::string json_error_code(std::string_view body) {
  auto code = json_text_in(body, "Code");
  return code.empty() ? json_text_in(body, "code") : code;
}

result<std::string> within(std::string bytes, std::uint64_t max_bytes) {
  if (bytes.size() > max_bytes) return fail(errc::too_large, "the object is larger than asked for");
  return bytes;
}

result<object_info> info_of_head(const http::response& answer) {
  const auto text = http::find(answer.fields, "Content-Length");
  object_info info;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), info.size);
  if (text.empty() || ec != std::errc() || end != text.data() + text.size())
    return fail(errc::data_corrupt, "the storage told no size of the object");
  info.etag = http::find(answer.fields, "ETag");
  if (const auto at = parse_http_date(http::find(answer.fields, "Last-Modified"))) info.modified_at = *at;
  return info;
}

}  // namespace evp::storage
