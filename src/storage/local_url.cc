// Signed URLs of the built-in object store, and the Range field of requests for its objects.
#include <charconv>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/names.h"
#include "storage/local_store.h"

namespace evp::storage {
namespace {

constexpr std::string_view path_prefix = "/objects/";

std::string_view name_of(operation op) { return op == operation::put ? "PUT" : "GET"; }

/// The parameters that only some URLs have, in their one order.
std::string extras(const local_access& a) {
  std::string text;
  if (a.size) text += "&size=" + std::to_string(*a.size);
  if (a.max_size) text += "&max=" + std::to_string(*a.max_size);
  if (!a.sha256.empty()) text += "&sha=" + a.sha256;
  if (a.create_only) text += "&new=1";
  if (a.parts_id.empty()) return text;
  text += "&up=" + a.parts_id + "&part=" + std::to_string(a.part.number);
  return text.append("&off=" + std::to_string(a.part.offset) + "&len=" + std::to_string(a.part.length));
}

/// No line can hold '\n', so no two accesses have one text.
std::string signature(const secret& key, const local_access& access) {
  std::string text = "evp-local-1\n";
  text.append(name_of(access.op)).append("\n").append(access.container).append("\n").append(access.object).append("\n");
  text += std::to_string(access.expires_at.time_since_epoch().count());
  if (const auto more = extras(access); !more.empty()) text.append("\n").append(more);
  return to_base64url(hmac_sha256(key.reveal(), text));
}

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && ec == std::errc() && end == text.data() + text.size();
}

/// The parameters, each at most once, in any order.
struct parameters {
  std::string_view exp, op, sig, size, max, sha, fresh, up, part, off, len;
};
std::string_view* place_of(parameters& p, std::string_view name) {
  const std::pair<std::string_view, std::string_view*> places[] = {
      {"exp", &p.exp},   {"op", &p.op}, {"sig", &p.sig},   {"size", &p.size}, {"max", &p.max}, {"sha", &p.sha},
      {"new", &p.fresh}, {"up", &p.up}, {"part", &p.part}, {"off", &p.off},   {"len", &p.len}};
  for (const auto& [known, place] : places)
    if (known == name) return place;
  return nullptr;
}
result<parameters> read_query(std::string_view query) {
  parameters p;
  for (std::size_t at = 0; at < query.size();) {
    const auto end = std::min(query.find('&', at), query.size());
    const auto pair = query.substr(at, end - at);
    const auto equals = std::min(pair.find('='), pair.size());
    const auto name = pair.substr(0, equals);
    const auto value = pair.substr(std::min(equals + 1, pair.size()));
    auto* place = place_of(p, name);
    if (!place || !place->empty()) return fail(errc::permission_denied, "the URL has a parameter that was not signed");
    *place = value;
    at = end + 1;
  }
  return p;
}

}  // namespace

secret sign_local_url(const secret& key, std::string_view base_url, const local_access& access) {
  std::string url(base_url);
  if (url.ends_with('/')) url.pop_back();
  url.append(path_prefix)
      .append(percent_encode(access.container))
      .append("/")
      .append(percent_encode(access.object, true));
  url.append("?exp=").append(std::to_string(access.expires_at.time_since_epoch().count()));
  url += extras(access);
  url.append("&op=").append(name_of(access.op)).append("&sig=").append(signature(key, access));
  return secret(std::move(url));
}

result<local_access> verify_local_url(const secret& key, std::string_view method, std::string_view path,
                                      std::string_view query, timestamp now) {
  if (!path.starts_with(path_prefix))
    return fail(errc::invalid_argument, "the path must be /objects/<container>/<object>");
  path.remove_prefix(path_prefix.size());
  const auto slash = path.find('/');
  if (slash == path.npos) return fail(errc::invalid_argument, "the path must be /objects/<container>/<object>");
  local_access access;
  TRY(access.container, percent_decode(path.substr(0, slash)));
  TRY(access.object, percent_decode(path.substr(slash + 1)));
  CHECK(check_scoped_name(access.container, "the container"));
  CHECK(check_object_name(access.object));

  TRY(const auto given, read_query(query));
  std::int64_t expires = 0;
  if (given.sig.empty()) return fail(errc::permission_denied, "the URL has no signature: ask for a new one");
  if ((given.op != "PUT" && given.op != "GET") || !read_number(given.exp, expires))
    return fail(errc::permission_denied, "the URL's signature is not valid");
  access.op = given.op == "PUT" ? operation::put : operation::get;
  access.expires_at = timestamp(milliseconds(expires));
  access.parts_id = given.up;
  access.sha256 = given.sha;
  access.create_only = given.fresh == "1";
  bool readable =
      given.up.empty() || (read_number(given.part, access.part.number) && read_number(given.off, access.part.offset) &&
                           read_number(given.len, access.part.length));
  if (!given.size.empty()) readable = readable && read_number(given.size, access.size.emplace());
  if (!given.max.empty()) readable = readable && read_number(given.max, access.max_size.emplace());
  if (!readable) return fail(errc::permission_denied, "the URL's signature is not valid");
  if (!equal_in_constant_time(given.sig, signature(key, access)))
    return fail(errc::permission_denied, "the URL's signature is not valid");
  if (now >= access.expires_at) return fail(errc::permission_denied, "the URL has expired: ask for a new one");
  const bool allowed = access.op == operation::put ? method == "PUT" : method == "GET" || method == "HEAD";
  if (!allowed) return fail(errc::permission_denied, "the URL was not signed for this method");
  return access;
}

result<void> demand(const local_access& access, put_conditions& of) {
  if (access.size && of.content_length != access.size)
    return fail(errc::invalid_argument, "Content-Length", "must be the size that was granted");
  if (access.max_size) of.max_bytes = std::min(of.max_bytes, *access.max_size);
  of.create_only = of.create_only || access.create_only;
  of.sha256 = access.sha256;
  return {};
}

result<std::optional<byte_range>> parse_byte_range(std::string_view field, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  const auto ignored = std::optional<byte_range>();
  if (!field.starts_with(unit) || field.find(',') != field.npos) return ignored;
  const auto spec = field.substr(unit.size());
  const auto dash = spec.find('-');
  if (dash == spec.npos) return ignored;
  const auto first_text = spec.substr(0, dash), last_text = spec.substr(dash + 1);

  std::uint64_t first = 0, last = 0;
  const auto unsatisfiable = [] { return fail(errc::invalid_argument, "the range lies beyond the object's end"); };
  if (first_text.empty()) {  // the last N bytes
    if (!read_number(last_text, last)) return ignored;
    if (last == 0 || size == 0) return unsatisfiable();
    const auto length = std::min(last, size);
    return byte_range{size - length, length};
  }
  if (!read_number(first_text, first)) return ignored;
  if (last_text.empty())
    last = UINT64_MAX;
  else if (!read_number(last_text, last) || last < first)
    return ignored;
  if (first >= size) return unsatisfiable();
  return byte_range{first, std::min(last, size - 1) - first + 1};
}

}  // namespace evp::storage
