// AWS Security Token Service: credentials of a role, for who holds keys or a web identity token.
#pragma once

#include "auth/credentials/issuer_exchange.h"
#include "auth/credentials/token_file.h"
#include "auth/sigv4.h"

namespace evp::auth {

using aws_source = credential_source<aws_credentials>;

/// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
struct aws_role {
  std::string arn;          ///< "arn:aws:iam::123456789012:role/fleet"
  std::string session;      ///< RoleSessionName: 2 to 64 characters A-Z a-z 0-9 _ = , . @ -
  std::string external_id;  ///< what the role's trust policy demands; empty: nothing
  std::string policy;       ///< session policy, compact JSON of at most 2,048 characters; empty: none
  seconds duration{3600};   ///< 900 s to 12 h; a role that was assumed by another role: at most 1 h
};

struct sts_endpoint {
  std::string origin;  ///< "https://sts.eu-central-1.amazonaws.com", without a path
  std::string region;  ///< that signatures name
  std::string ca_pem;
};

/// Checks an ARN, a session name and an external id. Errors: invalid_argument at "roleArn", "roleSessionName",
/// "externalId".
result<void> check_role(const aws_role& role);

/// A session policy that allows what grants and checks of objects below `prefix` of the bucket need, no more, and that
/// only from `source_address` (an address or CIDR network; empty: from anywhere). Compact: Ceph RGW misreads spaces.
/// `partition` is "aws", "aws-cn" or "aws-us-gov", as the role's ARN has it. The prefix has none of "*?$", which mean
/// something in a policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
std::string s3_session_policy(std::string_view bucket, std::string_view prefix, std::string_view partition = "aws",
                              std::string_view source_address = {});

/// A session policy that allows to read and to write the bucket's own policy, and nothing else.
std::string s3_manager_policy(std::string_view bucket, std::string_view partition = "aws");

/// Keys that never change, as the base of a role.
std::unique_ptr<aws_source> make_static_aws(aws_credentials keys);
/// AssumeRole, signed with what `base` gives. The transport and the clock outlive the source.
std::unique_ptr<aws_source> make_assume_role(http::transport& transport, const io::clock& clock, sts_endpoint at,
                                             aws_role role, std::unique_ptr<aws_source> base);
/// AssumeRoleWithWebIdentity, with the token of a file that is read anew for each fetch.
/// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
std::unique_ptr<aws_source> make_assume_role_with_web_identity(http::transport& transport, sts_endpoint at,
                                                               aws_role role, token_folders folders,
                                                               io::fs::path token_file);

}  // namespace evp::auth
