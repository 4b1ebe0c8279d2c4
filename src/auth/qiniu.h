// Qiniu Kodo: upload tokens, signed download URLs and the tokens of management requests (HMAC-SHA1).
//
// https://developer.qiniu.com/kodo/1208/upload-token   https://developer.qiniu.com/kodo/1202/download-token
// https://developer.qiniu.com/kodo/1201/access-token
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hmac.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

/// What an upload token permits (https://developer.qiniu.com/kodo/1206/put-policy).
struct qiniu_put_policy {
  std::string bucket, object;  ///< an empty object: any name in the bucket
  timestamp expires_at;        ///< whole seconds
  std::optional<std::uint64_t> least_bytes, most_bytes;
  bool create_only = false;
  std::string mime_types;  ///< "image/jpeg;image/png": what the content may be, as Qiniu detects it; empty: anything
};

/// Signs for one access key. Pure; any thread.
class qiniu_signer {
 public:
  qiniu_signer(std::string access_key, const secret& secret_key);

  /// "<access key>:<signature>:<policy>": a form field "token", or "UpToken" in an Authorization field.
  secret upload_token(const qiniu_put_policy& policy) const;

  /// The URL of an object on the bucket's domain, good until then. `url` is encoded and may have a query.
  secret download_url(std::string_view url, timestamp expires_at) const;

  /// The Authorization field of a management request ("QBox ..."): of its path with query, and of its body where that
  /// is application/x-www-form-urlencoded.
  std::string management_authorization(std::string_view path_and_query, std::string_view form_body = {}) const;

 private:
  std::string access_key_;
  hmac_key key_;
};

}  // namespace evp::auth
