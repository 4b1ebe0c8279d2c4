// AWS Signature Version 4 for S3 and everything that speaks it: presigned URLs and signed request headers.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// A request to be signed. Nothing in it is encoded yet: the signer applies the one encoding rule (percent_encode).
struct sigv4_request {
  std::string method = "GET";
  std::string scheme = "https";
  std::string authority;   ///< what the URL holds: "bucket.s3.eu-west-1.amazonaws.com", "127.0.0.1:7480"
  std::string host;        ///< the Host field that will be sent and is signed; empty: the authority
  std::string path = "/";  ///< begins with '/'; not normalised, as S3 demands
  std::vector<std::pair<std::string, std::string>> query;
  http::headers fields;  ///< signed: they must be sent with these values. Host is added by itself.
};

/// Signs for one set of credentials, region and service. Keeps the signing key of the last day it signed for, so a
/// signature costs two hashes; therefore confined to one executor. Time is a parameter, there is no I/O.
class sigv4_signer {
 public:
  sigv4_signer(aws_credentials credentials, std::string region, std::string service = "s3");

  /// The URL with X-Amz-* parameters, all sorted by name. The body is not signed. `expires` is not checked here: S3
  /// takes 1 s to 604,800 s.
  secret presign(const sigv4_request& request, timestamp now, seconds expires) const;

  /// The fields to send beside request.fields: X-Amz-Date, X-Amz-Content-Sha256, X-Amz-Security-Token where there is
  /// one, and Authorization. payload_sha256 is 64 hexadecimal digits or unsigned_payload.
  http::headers sign_headers(const sigv4_request& request, timestamp now, std::string_view payload_sha256) const;

  /// "scheme://authority/path?query", encoded as it is signed: the URL for sign_headers.
  static std::string url_of(const sigv4_request& request);

 private:
  std::string signature(const sigv4_request& request, std::string_view canonical_query, const http::headers& fields,
                        std::string_view payload, const std::string& date_time) const;
  const secret& signing_key(std::string_view day) const;
  std::string scope(std::string_view day) const;

  aws_credentials credentials_;
  std::string region_, service_;
  mutable std::string key_day_;  ///< "20261122", the day of key_
  mutable secret key_;
};

}  // namespace evp::auth
