#include "auth/goog4.h"

namespace evp::auth {
namespace {

// "auto" stands for any location: https://cloud.google.com/storage/docs/authentication/signatures#credential-scope
constexpr const char* location = "auto";
constexpr const char* service = "storage";

}  // namespace

goog4_signer::goog4_signer(std::string principal, text_signer sign)
    : form_({std::move(principal), secret(), secret()}, location, service, goog4_rsa), sign_(std::move(sign)) {}

goog4_signer::goog4_signer(std::string principal, rsa_private_key key)
    : goog4_signer(std::move(principal), [key = std::move(key)](std::string_view text) -> result<std::string> {
        return key.sign_sha256(text);
      }) {}

result<secret> goog4_signer::presign(const sigv4_request& request, timestamp now, seconds expires) const {
  const auto d = draft(request, now, expires);
  TRY(const auto signature, sign_(d.string_to_sign));
  return d.finish(signature);
}

v4_draft goog4_signer::draft(const sigv4_request& request, timestamp now, seconds expires) const {
  return form_.draft(request, now, expires);
}

sigv4_signer make_goog4_hmac_signer(std::string access_id, secret key) {
  return {{std::move(access_id), std::move(key), secret()}, location, service, goog4_hmac};
}

std::string goog4_host(std::string_view authority) {
  const auto colon = authority.rfind(':');
  const auto bracket = authority.rfind(']');
  const bool has_port = colon != authority.npos && (bracket == authority.npos || bracket < colon);
  return std::string(has_port ? authority.substr(0, colon) : authority);
}

}  // namespace evp::auth
