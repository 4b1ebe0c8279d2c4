// The older scheme of Huawei OBS and Alibaba OSS (their V1, after AWS Signature Version 2): HMAC-SHA1 over the method,
// three fields, the vendor's own fields and the object.
//
// https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0011.html (URLs)
// https://www.alibabacloud.com/help/en/oss/developer-reference/ddd-signatures-to-urls
#pragma once

#include <string>
#include <string_view>

#include "auth/request.h"
#include "base/hmac.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

/// What differs between the vendors.
struct v2_dialect {
  std::string_view authorization;  ///< first word of the Authorization field
  std::string_view prefix;         ///< of the vendor's own fields, in lower case
  std::string_view id, token;      ///< parameters with the access key's id and the session token
  bool signs_encoded_path = true;
};
inline constexpr v2_dialect obs2{"OBS", "x-obs-", "AccessKeyId", "x-obs-security-token", true};
/// OBS under the names of S3, which it takes too.
inline constexpr v2_dialect obs2_aws_names{"AWS", "x-amz-", "AWSAccessKeyId", "x-amz-security-token", true};
inline constexpr v2_dialect oss1{"OSS", "x-oss-", "OSSAccessKeyId", "security-token", false};

/// Signs for one access key and bucket. content-md5, content-type and the vendor's own fields are always signed where
/// they are given; other fields, Host and parameters that are no sub-resources are not. Pure; any thread.
class sigv2_signer {
 public:
  sigv2_signer(std::string access_key_id, const secret& secret_access_key, secret session_token, std::string bucket,
               const v2_dialect& dialect = obs2);

  /// The URL. request.path is "/object", without the bucket, unless signed_path says what to sign.
  secret presign(const signable_request& request, timestamp expires_at) const;

  /// The Authorization field of a request that is sent with `date` as its date.
  std::string authorization(const signable_request& request, std::string_view date) const;

 private:
  std::string signature(const signable_request& request, std::string_view date) const;
  std::string resource(const signable_request& request) const;

  std::string id_;
  hmac_key key_;
  secret token_;
  std::string bucket_;
  const v2_dialect* dialect_;
};

}  // namespace evp::auth
