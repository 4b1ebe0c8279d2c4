// OpenStack Swift: tokens of Keystone (Identity API v3) and of Swift's own older login (v1, as Ceph RGW speaks it too).
#pragma once

#include "auth/credentials/issuer_exchange.h"

namespace evp::auth {

/// What the object store is reached with.
struct swift_access {
  secret token;             ///< X-Auth-Token
  std::string storage_url;  ///< "https://swift.example.com/v1/AUTH_abc", without a trailing '/'
  friend bool operator==(const swift_access&, const swift_access&) = default;
};
using swift_source = credential_source<swift_access>;

/// https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management
struct keystone_login {
  std::string url;  ///< "https://keystone.example.com:5000/v3", without a trailing '/'
  // By password:
  std::string user, user_domain = "Default";
  secret password;
  std::string project, project_domain = "Default";
  // Or by application credential:
  std::string application_credential_id;
  secret application_credential_secret;

  std::string region;  ///< which of the catalogue's object stores; empty: the first
  std::string ca_pem;
};
std::unique_ptr<swift_source> make_keystone(http::transport& transport, keystone_login login);

/// https://docs.openstack.org/swift/latest/overview_auth.html
struct swift_v1_login {
  std::string url;   ///< "https://swift.example.com/auth/v1.0"
  std::string user;  ///< "account:user"
  secret key;
  std::string ca_pem;
};
std::unique_ptr<swift_source> make_swift_v1(http::transport& transport, const io::clock& clock, swift_v1_login login);

}  // namespace evp::auth
