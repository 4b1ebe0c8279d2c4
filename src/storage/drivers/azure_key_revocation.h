// The lever of AZURE services with an Entra ID identity: all user delegation keys of the account are revoked.
//
// https://learn.microsoft.com/rest/api/storagerp/storage-accounts/revoke-user-delegation-keys
#pragma once

#include <memory>
#include <string>

#include "auth/credentials/issuer_exchange.h"
#include "storage/drivers/requests.h"

namespace evp::storage {

/// Asks Azure Resource Manager, as the identity itself: a role that permits Microsoft.Storage/storageAccounts/
/// revokeUserDelegationKeys/action is needed.
class azure_key_revocation {
 public:
  static constexpr std::string_view public_cloud = "https://management.azure.com";

  /// Checks "/subscriptions/.../resourceGroups/.../providers/Microsoft.Storage/storageAccounts/<account>". Errors:
  /// invalid_argument at "accountResourceId".
  static result<void> check_id(std::string_view resource_id, std::string_view account);

  /// `origin` is the resource manager's; the tokens are for it. The transport outlives this.
  azure_key_revocation(http::transport& transport, std::string origin, std::string resource_id, std::string ca_pem,
                       std::unique_ptr<auth::token_source> tokens)
      : transport_(transport),
        origin_(std::move(origin)),
        resource_id_(std::move(resource_id)),
        ca_pem_(std::move(ca_pem)),
        tokens_(std::move(tokens)) {}

  vendor_lever lever() const;
  /// Errors: as driver::prepare, and those of fetching a token.
  io::task<result<void>> pull();

 private:
  http::transport& transport_;
  std::string origin_, resource_id_, ca_pem_;
  std::unique_ptr<auth::token_source> tokens_;
};

}  // namespace evp::storage
