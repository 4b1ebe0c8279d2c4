// Azure user delegation keys: what an Entra ID identity signs SAS URLs with, instead of the account's key.
//
// https://learn.microsoft.com/rest/api/storageservices/get-user-delegation-key
#pragma once

#include "auth/azure_sas.h"
#include "auth/credentials/issuer_exchange.h"

namespace evp::auth {

using delegation_source = credential_source<azure_delegation_key>;

/// Azure allows 7 days; a day bounds what a stolen key is worth, and how long a removed role assignment lives on.
inline constexpr seconds delegation_life{24 * 3600};

/// `service` is the blob service's URL without a trailing '/'. The identity needs the role "Storage Blob Delegator" (or
/// "Storage Blob Data Contributor"). Transport and clock outlive the source.
std::unique_ptr<delegation_source> make_azure_delegation(http::transport& transport, const io::clock& clock,
                                                         std::string service,
                                                         std::shared_ptr<credential_cache<secret>> tokens,
                                                         std::string ca_pem);

}  // namespace evp::auth
