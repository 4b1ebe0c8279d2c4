// Microsoft Entra ID: access tokens for an application that proves itself by secret, certificate or workload identity.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
#pragma once

#include "auth/credentials/issuer_exchange.h"
#include "auth/credentials/token_file.h"
#include "base/rsa.h"

namespace evp::auth {

inline constexpr std::string_view entra_public_cloud = "https://login.microsoftonline.com";
inline constexpr std::string_view azure_storage_resource = "https://storage.azure.com/";

struct entra_application {
  std::string authority{entra_public_cloud};  ///< origin of the cloud's login service
  std::string tenant_id;                      ///< a GUID or a domain
  std::string client_id;                      ///< a GUID
  std::string resource{azure_storage_resource};
  std::string ca_pem;
};

/// Checks tenant and client. Errors: invalid_argument at "tenantId", "clientId".
result<void> check_application(const entra_application& app);

/// An application's certificate with its private key.
struct entra_certificate {
  rsa_private_key key;
  std::string thumbprint;
  /// Both in one PEM text. Errors: invalid_argument.
  static result<entra_certificate> parse(const secret& pem);
};

/// Transport and clock outlive the sources.
std::unique_ptr<token_source> make_entra_secret(http::transport& transport, const io::clock& clock,
                                                entra_application app, secret client_secret);
/// https://learn.microsoft.com/entra/identity-platform/certificate-credentials
std::unique_ptr<token_source> make_entra_certificate(http::transport& transport, const io::clock& clock,
                                                     entra_application app, entra_certificate certificate);
/// The platform's token from a file, read anew for each fetch.
/// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
std::unique_ptr<token_source> make_entra_workload(http::transport& transport, const io::clock& clock,
                                                  entra_application app, token_folders folders,
                                                  io::fs::path token_file);

}  // namespace evp::auth
