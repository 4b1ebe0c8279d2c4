// The calls of Backblaze's native API: each carries the account's token, and each refusal becomes an error in one
// place.
//
// https://www.backblaze.com/apidocs
#pragma once

#include <string>
#include <string_view>

#include "auth/credentials/b2_account.h"
#include "storage/drivers/requests.h"

namespace evp::storage {

/// Confined to one executor, as the driver that owns it.
class b2_calls {
 public:
  b2_calls(const driver_context& context, endpoint origin, auth::b2_login login, std::string bucket);

  struct answer {
    auth::issuer_fields said;
    timestamp token_dies;  ///< that asked for it
  };
  /// POST of a call. `doing` names the step in errors; `needs` the capability that an application key must have for it.
  /// Errors: the login's, permission_denied (the capability lacks), rate_limited (a cap of the account is reached),
  /// failed_precondition (400: what it is about is not there), not_found (the bucket), already_exists (a bucket that is
  /// to be made is somebody else's).
  io::task<result<answer>> call(std::string name, std::string body, std::string doing, std::string needs);

  /// The account as the login tells it, for at least grant_least longer. Errors: the login's.
  io::task<result<auth::expiring<auth::b2_account>>> account();
  /// The id of the bucket; looked up once. Errors: not_found (there is none), permission_denied (the key is limited to
  /// another bucket), and those of call().
  io::task<result<std::string>> bucket_id();
  /// Makes the bucket, private, old versions of whose objects go after a day. Errors: those of call().
  io::task<result<void>> make_bucket();

  /// A request for an object itself, below the download URL. Errors: the login's.
  io::task<result<http::response>> on_object(std::string method, std::string object, std::uint64_t max_bytes);
  /// Its URL. Errors: unavailable (the login names a download URL that is none).
  result<secret> object_url(const auth::b2_account& account, std::string_view object) const;

  /// A URL that Backblaze has answered, checked: https, unless the configured endpoint is not. Errors: unavailable.
  result<endpoint> checked(std::string_view url) const;
  /// The error of an answer, by its "code". A token that is no longer taken is dropped: the next call fetches one.
  error refused(const http::response& answer, const auth::expiring<auth::b2_account>& with, std::string_view doing,
                std::string_view needs);

  std::optional<auth::credential_health> health() const { return login_.health(); }
  void drop() { login_.drop(); }

 private:
  http::transport& transport_;
  std::string ca_pem_;
  endpoint origin_;
  auth::credential_cache<auth::b2_account> login_;
  std::string bucket_, bucket_id_;
};

}  // namespace evp::storage
