// Where the credentials of an AWS service come from: given keys, a role, a web identity, or the machine's own.
#pragma once

#include <functional>
#include <memory>

#include "auth/credentials/aws_sts.h"
#include "storage/drivers/bucket.h"

namespace evp::storage {

/// What a session of a role is limited to, beside the bucket.
struct aws_session {
  std::string prefix;           ///< of objects' names; empty: all
  std::string source_address;   ///< where requests come from, an address or CIDR network; empty: anywhere
  bool manages_policy = false;  ///< may read and write the bucket's policy, and do nothing else
  friend auto operator<=>(const aws_session&, const aws_session&) = default;
};

/// Keys that the user gave, or where to fetch some.
struct aws_keys {
  auth::aws_credentials given;
  std::unique_ptr<auth::aws_source> fetched;  ///< null: they are given
  /// Where a role is assumed: more sessions of it, limited further. Null: no role.
  std::function<std::unique_ptr<auth::aws_source>(const aws_session&)> narrowed;
  std::string role_arn;  ///< empty: no role
};

/// Reads what the options say about credentials, and refuses what contradicts itself. Token services that are asked
/// are added to made.others; `provider_sts` is the provider's own, empty: the storage's endpoint is it. Errors:
/// invalid_argument at the field.
result<aws_keys> aws_keys_of(const option_values& options, const driver_context& context, const bucket_place& where,
                             const std::string& region, const std::string& provider_sts, made_driver& made);

}  // namespace evp::storage
