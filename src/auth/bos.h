// Baidu Cloud BOS: URLs and requests signed with bce-auth-v1 (HMAC-SHA256).
//
// https://cloud.baidu.com/doc/Reference/s/njwvz1yfu
#pragma once

#include <string>

#include "auth/request.h"
#include "base/hmac.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

/// Signs for one access key. Host and all fields that are given are signed and listed, and all parameters. Pure; any
/// thread.
class bos_signer {
 public:
  bos_signer(std::string access_key_id, const secret& secret_access_key, secret session_token);

  /// The URL, good from `now` for that long (whole seconds; BOS also takes -1, for ever, which we don't).
  secret presign(const signable_request& request, timestamp now, seconds expires) const;

  /// "bce-auth-v1/<id>/<time>/<seconds>/<fields>/<signature>": the value of an Authorization field.
  std::string authorization(const signable_request& request, timestamp now, seconds expires) const;

 private:
  std::string id_;
  hmac_key key_;
  secret token_;
};

}  // namespace evp::auth
