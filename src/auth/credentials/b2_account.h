// Backblaze B2: the account token that an application key is exchanged for, and what that key may reach.
#pragma once

#include "auth/credentials/issuer_exchange.h"

namespace evp::auth {

/// What b2_authorize_account answers: https://www.backblaze.com/apidocs/b2-authorize-account
struct b2_account {
  secret token;  ///< Authorization of all further calls
  std::string account_id;
  std::string api_url, download_url;   ///< "https://api004.backblazeb2.com": from outside, to be checked before use
  std::string bucket_id, bucket_name;  ///< the one bucket that the key is limited to; empty: any
  std::string name_prefix;             ///< what all names must begin with; empty: any
  friend bool operator==(const b2_account&, const b2_account&) = default;
};
using b2_source = credential_source<b2_account>;

struct b2_login {
  std::string origin;  ///< "https://api.backblazeb2.com"
  std::string key_id;
  secret key;
  std::string ca_pem;
};

/// A token lives 24 hours at most, and no longer than its key. Errors of a fetch: unauthenticated (the key is wrong or
/// deleted), those of refusal().
std::unique_ptr<b2_source> make_b2_login(http::transport& transport, const io::clock& clock, b2_login login);

}  // namespace evp::auth
