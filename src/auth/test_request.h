// The key, the moment and the object that the signers' tests share with the vendors' SDKs, which made the expected
// values.
#pragma once

#include "auth/request.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

inline const timestamp sdk_time = *parse_rfc3339("2024-05-06T07:08:09Z");
inline const std::string sdk_id = "AKIDEXAMPLE";
inline const secret sdk_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");

inline signable_request test_request(std::string method, std::string authority, std::string path) {
  signable_request r;
  r.method = std::move(method);
  r.authority = std::move(authority);
  r.path = std::move(path);
  return r;
}

/// The last characters of a URL: its signature, for comparing.
inline std::string end_of(const secret& url, std::size_t count) { return url.reveal().substr(url.size() - count); }

}  // namespace evp::auth
