// OpenStack Swift: temporary URLs. Signatures of its own tests and documentation; whole URLs of python-swiftclient.
#include "apps/vectors/vectors.h"
#include "auth/tempurl.h"
#include "base/encoding.h"

namespace evp::vectors {
namespace {

constexpr std::string_view prefix_mark = "prefix:";

hash function_of(std::string_view name) {
  return name == "sha1" ? hash::sha1 : name == "sha256" ? hash::sha256 : hash::sha512;
}

/// The signature as the case writes it: hexadecimal, or "sha512:" and base64.
std::string as_written(const json::object& c, const std::string& raw) {
  return c.contains("hex") ? to_hex(raw) : text(c, "digest") + ":" + to_base64(raw);
}

/// A URL as python-swiftclient writes it: nothing is encoded, and base64 ends without its padding.
result<outcome> sign_url(const source& from, const json::object& c) {
  const auto& input = input_of(c);
  TRY(const auto now, clock_of(from));
  auth::tempurl_request r;
  const auto op = text(input, "op");
  r.method = op == "put" ? "PUT" : op == "get" ? "GET" : "HEAD";
  const auto path = text(from.file, "container") + text(input, "key");
  r.path = path;
  if (input.contains("prefix")) {
    r.path = text(from.file, "container");
    r.prefix = text(input, "key");
  }
  r.address_range = text(input, "ipRange");
  r.expires_at = now + lifetime_of(input);
  const auth::tempurl_signer signer(function_of(text(input, "digest")), secret(text(from.file, "secret_key")));
  auto url = percent_decode(percent_encode(path, true) + signer.query(r).reveal());
  if (!url) return fail(errc::internal, "our URL cannot be decoded");
  if (const auto padding = url->find("==&temp_url_expires"); padding != url->npos) url->erase(padding, 2);
  return outcome{text(input, "key"), text(c, "url"), *url};
}

}  // namespace

result<outcome> sign_swift(const source& from, const json::object& c) {
  if (c.contains("url")) return sign_url(from, c);
  auth::tempurl_request r;
  r.method = text(c, "method");
  r.path = text(c, "path");
  if (r.path.starts_with(prefix_mark)) {  // "prefix:/v1/account/container/<what names begin with>"
    const auto container = r.path.find('/', r.path.find('/', prefix_mark.size() + 4) + 1);
    r.prefix = r.path.substr(container + 1);
    r.path = r.path.substr(prefix_mark.size(), container + 1 - prefix_mark.size());
  }
  r.address_range = text(c, "ip_range");
  r.expires_at = timestamp(seconds(c.at("expires").as_int64()));
  const auto function = function_of(text(c, "digest"));
  auto got = auth::tempurl_signer(function, secret(text(c, "key"))).signature(r);
  if (function == hash::sha512) {  // our form for SHA-512 is base64url; the cases have others
    for (char& ch : got) ch = ch == '-' ? '+' : ch == '_' ? '/' : ch;
    TRY(const auto raw, from_base64(std::string_view(got).substr(7)));
    got = as_written(c, raw);
  }
  return outcome{text(c, "src") + " " + text(c, "path"), c.contains("hex") ? text(c, "hex") : text(c, "param"), got};
}

}  // namespace evp::vectors
