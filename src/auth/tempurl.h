// OpenStack Swift's temporary URLs: HMAC over method, expiry and path, for one object or for all that begin alike.
//
// https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html
#pragma once

#include <string>
#include <string_view>

#include "base/hmac.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

struct tempurl_request {
  std::string method = "GET";  ///< GET and PUT also permit HEAD
  std::string origin;          ///< "https://swift.example.com"
  std::string path;            ///< "/v1/AUTH_account/container/object", decoded
  std::string prefix;          ///< set: what the object's name must begin with, and `path` is the container's, with a
                               ///< '/' at its end; one signature serves all such objects
  std::string address_range;   ///< "1.2.3.4" or "1.2.3.0/24": where the request must come from; empty: anywhere
  timestamp expires_at;        ///< whole seconds
};

/// Signs with one of the account's or container's keys (X-Account-Meta-Temp-URL-Key). Pure; any thread.
class tempurl_signer {
 public:
  tempurl_signer(hash function, const secret& key) : function_(function), key_(function, key.reveal()) {}

  secret sign(const tempurl_request& request) const;
  /// What sign adds to the URL of an object: "?temp_url_sig=...". For a prefix: of any object.
  secret query(const tempurl_request& request) const;
  /// The value of temp_url_sig: hexadecimal, or for SHA-512, as its documentation wants, "sha512:<base64url>".
  std::string signature(const tempurl_request& request) const;

 private:
  hash function_;
  hmac_key key_;
};

}  // namespace evp::auth
