#include "auth/tempurl.h"

#include "base/encoding.h"

namespace evp::auth {

std::string tempurl_signer::signature(const tempurl_request& r) const {
  std::string text;
  if (!r.address_range.empty()) text.append("ip=").append(r.address_range).append("\n");
  text.append(r.method).append("\n").append(format_unix_seconds(r.expires_at)).append("\n");
  if (!r.prefix.empty()) text += "prefix:";
  text.append(r.path).append(r.prefix);
  const auto raw = key_.sign(text);
  return function_ == hash::sha512 ? "sha512:" + to_base64url_padded(raw) : to_hex(raw);
}

secret tempurl_signer::sign(const tempurl_request& r) const {
  std::string url = r.origin;
  append_percent_encoded(url, r.path, true);
  return secret(url + query(r).reveal());
}

secret tempurl_signer::query(const tempurl_request& r) const {
  std::string url = "?temp_url_sig=";
  append_percent_encoded(url, signature(r));
  url.append("&temp_url_expires=").append(format_unix_seconds(r.expires_at));
  if (!r.prefix.empty()) {
    url += "&temp_url_prefix=";
    append_percent_encoded(url, r.prefix);
  }
  if (!r.address_range.empty()) {
    url += "&temp_url_ip_range=";
    append_percent_encoded(url, r.address_range);
  }
  return secret(std::move(url));
}

}  // namespace evp::auth
