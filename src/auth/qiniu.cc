#include "auth/qiniu.h"

#include <fmt/format.h>

#include "auth/json_text.h"
#include "base/encoding.h"

namespace evp::auth {
qiniu_signer::qiniu_signer(std::string access_key, const secret& secret_key)
    : access_key_(std::move(access_key)), key_(hash::sha1, secret_key.reveal()) {}

secret qiniu_signer::upload_token(const qiniu_put_policy& p) const {
  std::string policy = "{\"scope\":" + json_quoted(p.object.empty() ? p.bucket : p.bucket + ":" + p.object);
  if (p.least_bytes) policy += fmt::format(",\"fsizeMin\":{}", *p.least_bytes);
  if (p.most_bytes) policy += fmt::format(",\"fsizeLimit\":{}", *p.most_bytes);
  if (p.create_only) policy += ",\"insertOnly\":1";
  if (!p.mime_types.empty()) policy += ",\"mimeLimit\":" + json_quoted(p.mime_types);
  policy += ",\"deadline\":" + format_unix_seconds(p.expires_at) + "}";
  const auto encoded = to_base64url_padded(policy);
  return secret(access_key_ + ":" + to_base64url_padded(key_.sign(encoded)) + ":" + encoded);
}

secret qiniu_signer::download_url(std::string_view url, timestamp expires_at) const {
  std::string whole(url);
  whole.append(url.find('?') == url.npos ? "?e=" : "&e=").append(format_unix_seconds(expires_at));
  const auto signature = to_base64url_padded(key_.sign(whole));
  return secret(whole + "&token=" + access_key_ + ":" + signature);
}

std::string qiniu_signer::management_authorization(std::string_view path_and_query, std::string_view form_body) const {
  std::string text(path_and_query);
  text.append("\n").append(form_body);
  return "QBox " + access_key_ + ":" + to_base64url_padded(key_.sign(text));
}

}  // namespace evp::auth
