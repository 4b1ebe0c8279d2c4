// Tencent Cloud COS: URLs signed with HMAC-SHA1 under a key that is derived for each period.
//
// https://www.tencentcloud.com/document/product/436/7778
#pragma once

#include <string>

#include "auth/request.h"
#include "base/hmac.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

/// Signs for one secret id. All fields and parameters that are given are signed and listed; Host is one of the fields
/// only if it is given as one. Pure; any thread.
class cos_signer {
 public:
  cos_signer(std::string secret_id, const secret& secret_key, secret session_token);

  /// The URL, good from `starts` to `expires_at` (whole seconds). A session token is added, unsigned, as COS expects
  /// it.
  secret presign(const signable_request& request, timestamp starts, timestamp expires_at) const;

  /// "q-sign-algorithm=sha1&q-ak=...&q-signature=...": the value of an Authorization field, or part of a query.
  std::string authorization(const signable_request& request, timestamp starts, timestamp expires_at) const;

 private:
  std::string id_;
  hmac_key key_;
  secret token_;
};

}  // namespace evp::auth
