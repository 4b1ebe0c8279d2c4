// AWS Signature Version 4 and its dialects (v4_dialects.h): presigned URLs and signed request headers.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "auth/request.h"
#include "auth/v4_dialects.h"
#include "base/hmac.h"
#include "base/secret.h"
#include "base/time.h"
#include "http/message.h"

namespace evp::auth {

struct aws_credentials {
  std::string access_key_id;
  secret secret_access_key;
  secret session_token;  ///< of temporary credentials; empty: none
  friend bool operator==(const aws_credentials&, const aws_credentials&) = default;
};

/// The payload hash of a request whose body is not signed.
inline constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";

using sigv4_request = signable_request;

/// A presigned URL but for its signature, and the text that is to be signed: for keys that are not in this process.
struct v4_draft {
  std::string string_to_sign;
  std::string url_until_signature;  ///< ends with "X-Goog-Signature="

  /// The URL; the signature is raw bytes.
  secret finish(std::string_view signature) &&;
};

/// Signs for one set of credentials, region and service. Keeps the key of the last day and the texts of the last second
/// that it signed for, so a signature costs two hashes; therefore confined to one executor. Time is a parameter, there
/// is no I/O.
class sigv4_signer {
 public:
  sigv4_signer(aws_credentials credentials, std::string region, std::string service = "s3",
               const v4_dialect& dialect = aws4);

  /// The URL with the dialect's parameters (X-Amz-*), all sorted by name. `expires` is not checked here: S3 takes 1 s
  /// to 604,800 s.
  secret presign(const sigv4_request& request, timestamp now, seconds expires) const;
  /// The same in two steps; the credentials' secret is not used.
  v4_draft draft(const sigv4_request& request, timestamp now, seconds expires) const;

  /// The fields to send beside request.fields: X-Amz-Date, X-Amz-Content-Sha256, X-Amz-Security-Token where there is
  /// one, and Authorization. payload_sha256 is 64 hexadecimal digits or unsigned_payload.
  http::headers sign_headers(const sigv4_request& request, timestamp now, std::string_view payload_sha256) const;

  /// "scheme://authority/path?query", encoded as it is signed: the URL for sign_headers.
  static std::string url_of(const sigv4_request& request, const v4_dialect& dialect = aws4);

  /// The raw signature of any text with the key of that day: a form's policy is signed so.
  std::string sign_text(std::string_view text, timestamp now) const;
  /// "<access key>/<day>/<region>/<service>/<terminator>".
  std::string credential(timestamp now) const;
  const v4_dialect& dialect() const noexcept { return *dialect_; }
  const secret& session_token() const noexcept { return credentials_.session_token; }

 private:
  /// What depends on the second alone.
  struct moment {
    std::chrono::sys_seconds second{seconds(-1)};
    std::string date_time, scope, credential, credential_encoded;
  };
  const moment& at(timestamp now) const;
  const hmac_key& key_of(const moment& m) const;
  std::string string_to_sign(const moment& m, std::string_view canonical_request) const;

  aws_credentials credentials_;
  std::string region_, service_;
  const v4_dialect* dialect_;
  secret token_encoded_;
  mutable moment moment_;
  mutable std::string key_scope_;  ///< the scope of key_
  mutable std::optional<hmac_key> key_;
};

}  // namespace evp::auth
