#include "auth/secure_link.h"

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::auth {

secret sign_secure_link(const secret& secret_word, std::string_view method, std::string_view origin,
                        std::string_view path, timestamp expires_at) {
  const auto expires = format_unix_seconds(expires_at);
  std::string text = expires;
  text.append(path).append(method).append(" ").append(secret_word.reveal());
  const secret signed_text(std::move(text));  // wiped: it holds the secret
  std::string url(origin);
  append_percent_encoded(url, path, true);
  url.append("?md5=").append(to_base64url(md5(signed_text.reveal()))).append("&expires=").append(expires);
  return secret(std::move(url));
}

}  // namespace evp::auth
