// Google Cloud Storage's V4 signatures: signed URLs under a service account's RSA key (or IAM's signBlob), or an HMAC
// key.
//
// https://cloud.google.com/storage/docs/access-control/signed-urls
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "auth/sigv4.h"
#include "base/rsa.h"

namespace evp::auth {

/// Makes the raw RSA-SHA256 signature of a text: a key of ours, or a call to IAM's signBlob.
using text_signer = std::function<result<std::string>(std::string_view text)>;

/// Signs for one service account. Confined to one executor, as sigv4_signer.
class goog4_signer {
 public:
  /// `principal` is the service account's e-mail address.
  goog4_signer(std::string principal, text_signer sign);
  goog4_signer(std::string principal, rsa_private_key key);

  /// As sigv4_signer::presign. Google signs Host without its port. Errors: those of the text_signer.
  result<secret> presign(const sigv4_request& request, timestamp now, seconds expires) const;
  /// For a signature that takes a while: sign draft().string_to_sign elsewhere, then finish().
  v4_draft draft(const sigv4_request& request, timestamp now, seconds expires) const;
  /// The raw signature of any text: of a form's policy. Errors: those of the text_signer.
  result<std::string> sign_text(std::string_view text) const { return sign_(text); }
  /// What forms must say beside their policy.
  const sigv4_signer& names() const noexcept { return form_; }

 private:
  sigv4_signer form_;  ///< knows no key
  text_signer sign_;
};

/// A signer for an HMAC key of Cloud Storage (GOOG4-HMAC-SHA256): as fast as S3's.
/// https://cloud.google.com/storage/docs/authentication/hmackeys
sigv4_signer make_goog4_hmac_signer(std::string access_id, secret key);

/// The Host that Google expects to be signed: without a port.
std::string goog4_host(std::string_view authority);

}  // namespace evp::auth
