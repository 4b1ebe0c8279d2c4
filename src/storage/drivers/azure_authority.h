// What signs for an AZURE service, and where it is: the account's key, a SAS that the user made, or an Entra ID
// identity.
#pragma once

#include <memory>
#include <string>

#include "auth/azure_sas.h"
#include "auth/credentials/azure_delegation.h"
#include "storage/drivers/azure_key_revocation.h"

namespace evp::storage {

/// A SAS that the user made: the parts of it that say what it permits.
struct azure_made_sas {
  secret query;  ///< without '?'; empty: there is none
  std::string permissions;
  timestamp dies = timestamp::max();
  bool may(char permission) const { return permissions.empty() || permissions.find(permission) != permissions.npos; }
};

/// What signs, and where.
struct azure_authority {
  auth::azure_sas_signer signer;  ///< with the account's key, or without
  azure_made_sas made;
  std::shared_ptr<auth::credential_cache<secret>> tokens;  ///< of the identity; null: none
  std::unique_ptr<auth::credential_cache<auth::azure_delegation_key>> delegation;
  std::unique_ptr<azure_key_revocation> revocation;  ///< of the identity's keys; null: not asked for
  endpoint place;  ///< the account's: its name is the path where the host cannot carry it
};

/// Reads the options of the one way that the user chose; warnings and token services are added to `made`. Errors:
/// invalid_argument at the field.
result<azure_authority> azure_authority_of(const option_values& options, const driver_context& context,
                                           made_driver& made);

}  // namespace evp::storage
