// OpenStack Swift: temporary URLs of its own tests and documentation: the signature.
#include "apps/vectors/vectors.h"
#include "auth/tempurl.h"
#include "base/encoding.h"

namespace evp::vectors {
namespace {

constexpr std::string_view prefix_mark = "prefix:";

/// The signature as the case writes it: hexadecimal, or "sha512:" and base64.
std::string as_written(const json::object& c, const std::string& raw) {
  return c.contains("hex") ? to_hex(raw) : text(c, "digest") + ":" + to_base64(raw);
}

}  // namespace

result<outcome> sign_swift(const source&, const json::object& c) {
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
  const auto name = text(c, "digest");
  const auto function = name == "sha1" ? hash::sha1 : name == "sha256" ? hash::sha256 : hash::sha512;
  auto got = auth::tempurl_signer(function, secret(text(c, "key"))).signature(r);
  if (function == hash::sha512) {  // our form for SHA-512 is base64url; the cases have others
    for (char& ch : got) ch = ch == '-' ? '+' : ch == '_' ? '/' : ch;
    TRY(const auto raw, from_base64(std::string_view(got).substr(7)));
    got = as_written(c, raw);
  }
  return outcome{text(c, "src") + " " + text(c, "path"), c.contains("hex") ? text(c, "hex") : text(c, "param"), got};
}

}  // namespace evp::vectors
