// The vendors that sign as AWS does (Signature Version 4) and what each does differently: one row a vendor.
#pragma once

#include <string_view>

namespace evp::auth {

/// What differs. Names are spelled as the vendor's own SDK spells them.
struct v4_dialect {
  std::string_view algorithm;   ///< first line of what is signed, and what the request says
  std::string_view key_prefix;  ///< before the secret, where the day's key begins
  std::string_view terminator;  ///< end of the scope
  std::string_view prefix;      ///< of the vendor's fields, in lower case
  struct {
    std::string_view algorithm, credential, date, expires, names, token, signature, payload;
  } name;  ///< of parameters and fields
  /// True: every field given is signed, host too, and listed. False (OSS): content-type, content-md5 and those with the
  /// prefix always are, unlisted; of the others those that the request names, and host never.
  bool lists_all_fields = true;
  bool bare_empty_values = false;  ///< "uploads" instead of "uploads=" in the query
};

/// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
inline constexpr v4_dialect aws4{
    "AWS4-HMAC-SHA256",
    "AWS4",
    "aws4_request",
    "x-amz-",
    {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
     "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-Content-Sha256"}};
/// https://www.volcengine.com/docs/6349/74839
inline constexpr v4_dialect tos4{
    "TOS4-HMAC-SHA256",
    "",
    "request",
    "x-tos-",
    {"X-Tos-Algorithm", "X-Tos-Credential", "X-Tos-Date", "X-Tos-Expires", "X-Tos-SignedHeaders",
     "X-Tos-Security-Token", "X-Tos-Signature", "X-Tos-Content-Sha256"}};
/// https://cloud.google.com/storage/docs/authentication/signatures
inline constexpr v4_dialect goog4_hmac{
    "GOOG4-HMAC-SHA256",
    "GOOG4",
    "goog4_request",
    "x-goog-",
    {"X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders",
     "X-Goog-Security-Token", "X-Goog-Signature", "X-Goog-Content-SHA256"}};
inline constexpr v4_dialect goog4_rsa = [] {
  auto d = goog4_hmac;
  d.algorithm = "GOOG4-RSA-SHA256";
  return d;
}();
/// https://www.alibabacloud.com/help/en/oss/developer-reference/add-signatures-to-urls
inline constexpr v4_dialect oss4{
    "OSS4-HMAC-SHA256",
    "aliyun_v4",
    "aliyun_v4_request",
    "x-oss-",
    {"x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-additional-headers",
     "x-oss-security-token", "x-oss-signature", "x-oss-content-sha256"},
    false,
    true};

}  // namespace evp::auth
