// Metadata services of cloud machines and containers: the one door to link-local addresses, with the addresses built
// in.
#pragma once

#include "auth/credentials/aws_sts.h"

namespace evp::auth {

/// Lets through only requests to the metadata services that this file knows; no user and no operator can name another.
/// Everything else of the backend goes through the endpoint guard, which refuses these very addresses.
class metadata_transport final : public http::transport {
 public:
  /// The inner transport outlives it.
  explicit metadata_transport(http::transport& inner) : inner_(inner) {}
  /// Errors: permission_denied (no metadata service), and the inner transport's.
  io::task<result<http::response>> send(http::request r) override;

 private:
  http::transport& inner_;
};

/// The role of an EC2 instance, by IMDSv2 only (a token that forwarders and SSRF cannot get).
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
std::unique_ptr<aws_source> make_aws_instance(http::transport& metadata);

/// What the platform tells a container by its environment:
/// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
struct aws_container {
  std::string relative_uri;  ///< AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (ECS): "/v2/credentials/<id>"
  std::string full_uri;      ///< AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS): its address must be the one built in
  io::fs::path token_file;   ///< AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (EKS)

  /// From the environment of this process.
  static aws_container from_environment();
};
/// The role of an ECS task or an EKS pod. Errors of its fetch: failed_precondition where the environment names neither.
std::unique_ptr<aws_source> make_aws_container(http::transport& metadata, aws_container where, token_folders folders);

/// The access token of an Azure machine's managed identity; `client_id` of a user-assigned one, or empty.
/// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
std::unique_ptr<token_source> make_azure_managed_identity(http::transport& metadata, const io::clock& clock,
                                                          std::string resource, std::string client_id);

/// The access token of a Google machine's service account.
/// https://cloud.google.com/compute/docs/access/authenticate-workloads
std::unique_ptr<token_source> make_gcp_machine(http::transport& metadata, const io::clock& clock);
/// That account's e-mail address, which signBlob needs. Errors: as a fetch.
io::task<result<std::string>> gcp_machine_account(http::transport& metadata);

}  // namespace evp::auth
