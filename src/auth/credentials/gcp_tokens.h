// Google Cloud: access tokens for a service account or a federated identity, narrowed ones, and signatures by IAM.
#pragma once

#include "auth/credentials/issuer_exchange.h"
#include "auth/credentials/token_file.h"
#include "base/rsa.h"

namespace evp::auth {

inline constexpr std::string_view gcp_storage_scope = "https://www.googleapis.com/auth/devstorage.read_write";
inline constexpr std::string_view gcp_cloud_scope = "https://www.googleapis.com/auth/cloud-platform";
inline constexpr std::string_view gcp_sts_origin = "https://sts.googleapis.com";
inline constexpr std::string_view gcp_sts = "https://sts.googleapis.com/v1/token";
inline constexpr std::string_view gcp_iam = "https://iamcredentials.googleapis.com";

/// A service account's key file (JSON), as the console gives it.
struct gcp_service_account {
  std::string email, key_id;
  std::string token_url;  ///< its token_uri: where it proves itself; to be guarded like any user's URL
  rsa_private_key key;
  /// Errors: invalid_argument (no JSON, another type, a field that lacks, no private key).
  static result<gcp_service_account> parse(const secret& json);
};

/// A token for the account, by a signed assertion (RFC 7523).
/// https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
std::unique_ptr<token_source> make_gcp_service_account(http::transport& transport, const io::clock& clock,
                                                       gcp_service_account account,
                                                       std::string scope = std::string(gcp_storage_scope));

/// Workload identity federation: a platform's token becomes a federated one and, where a service account is named, that
/// account's. https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers
struct gcp_federation {
  std::string audience;  ///< "//iam.googleapis.com/projects/N/locations/global/workloadIdentityPools/P/providers/V"
  std::string service_account;           ///< e-mail address to impersonate; empty: none
  std::string scope{gcp_storage_scope};  ///< of the federated token, where it is not for impersonation
  io::fs::path token_file;
  std::string sts_url{gcp_sts};
  std::string iam_origin{gcp_iam};
  std::string ca_pem;
};
std::unique_ptr<token_source> make_gcp_federation(http::transport& transport, const io::clock& clock,
                                                  gcp_federation how, token_folders folders);

/// A token that is good for objects below a prefix of one bucket only, made from a wider one.
/// https://cloud.google.com/iam/docs/downscoping-short-lived-credentials
struct gcp_boundary {
  std::string bucket;
  std::string prefix;                                ///< of object names; empty: the whole bucket
  std::string role = "roles/storage.objectCreator";  ///< the most that the token may do
  std::string sts_url{gcp_sts};
  std::string ca_pem;
};
std::unique_ptr<token_source> make_gcp_downscoped(http::transport& transport, const io::clock& clock,
                                                  std::shared_ptr<credential_cache<secret>> wide,
                                                  gcp_boundary boundary);

/// Has IAM sign the bytes with a service account's own key (RSA-SHA256): signed URLs without a key of one's own. The
/// raw signature. https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob
/// Errors: the cache's, unauthenticated, permission_denied (iam.serviceAccounts.signBlob lacks), unavailable.
io::task<result<std::string>> gcp_sign_blob(http::transport& transport,
                                            std::shared_ptr<credential_cache<secret>> tokens, std::string email,
                                            std::string bytes, std::string iam_origin = std::string(gcp_iam));

}  // namespace evp::auth
