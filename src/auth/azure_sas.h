// Azure Storage shared access signatures for blobs: service, stored policy, directory, user delegation and account.
//
// https://learn.microsoft.com/rest/api/storageservices/create-service-sas
// https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
// https://learn.microsoft.com/rest/api/storageservices/create-account-sas
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hmac.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

/// The version that the product signs with: a stable layout that Azure and Azurite both take.
inline constexpr std::string_view azure_sas_version = "2022-11-02";

/// A user delegation key, as Get User Delegation Key answers it. Times are texts: "2024-05-06T00:00:00Z".
struct azure_delegation_key {
  std::string object_id, tenant_id, starts, expires, service, version;
  secret value;  ///< base64
  friend bool operator==(const azure_delegation_key&, const azure_delegation_key&) = default;
};

/// What a SAS for a blob, a container or a directory permits. Empty texts are left out.
struct azure_service_sas {
  std::string version{azure_sas_version};
  std::string container;
  std::string path;          ///< blob or directory, decoded; empty: the whole container (sr=c)
  std::optional<int> depth;  ///< set: `path` is a directory this many levels below the container (sr=d)
  std::string permissions;   ///< any order: put into the canonical one
  std::optional<timestamp> starts, expires;
  std::string policy;     ///< id of a stored access policy
  std::string addresses;  ///< "1.2.3.4" or "1.2.3.4-1.2.3.9"
  std::string protocol;   ///< "https" or "https,http"
  std::string encryption_scope;
  std::string cache_control, content_disposition, content_encoding, content_language, content_type;  ///< of answers
  std::optional<azure_delegation_key> delegation;  ///< signs with it instead of the account's key
  /// Fields and parameters that the request must carry with these values; user delegation, from 2026-04-06 on.
  std::vector<std::pair<std::string, std::string>> required_fields, required_query;
};

/// What a SAS for an account permits.
struct azure_account_sas {
  std::string version{azure_sas_version};
  std::string services = "b";  ///< any of b f q t
  std::string resource_types;  ///< any of s (service) c (container) o (object)
  std::string permissions;     ///< any order
  std::optional<timestamp> starts, expires;
  std::string addresses, protocol, encryption_scope;
};

/// The string-to-sign and the query that carries the signature; the query is as secret as the key for what it permits.
struct azure_signed_query {
  std::string string_to_sign;
  secret query;  ///< "sv=2022-11-02&se=...&sig=...", encoded, without a leading '?'
};

/// Signs for one storage account. Pure; any thread.
class azure_sas_signer {
 public:
  /// `account_key` is the base64 text of the portal; it may be empty where only delegation keys are used.
  /// Errors: invalid_argument (no base64).
  static result<azure_sas_signer> make(std::string account, const secret& account_key);

  /// Errors: invalid_argument (the delegation key's value is no base64).
  result<azure_signed_query> sign(const azure_service_sas& sas) const;
  azure_signed_query sign(const azure_account_sas& sas) const;

  /// The value of Authorization for a request with this string-to-sign (azure_shared_key.h). As secret as the request.
  std::string authorization(std::string_view string_to_sign) const;

  const std::string& account() const noexcept { return account_; }

 private:
  azure_sas_signer(std::string account, hmac_key key) : account_(std::move(account)), key_(std::move(key)) {}
  std::string account_;
  hmac_key key_;
};

}  // namespace evp::auth
