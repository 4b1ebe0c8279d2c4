// A bucket's policy that takes back what sessions of a role have signed: Amazon S3's lever.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-tokenissuetime
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"

namespace evp::storage {

/// The policy (JSON; empty: the bucket has none) with a statement that denies everything on the bucket to sessions of
/// the role that were issued before that second. It takes the place of the one that an earlier call made for the role;
/// what else the policy says stays. Errors: data_corrupt (no policy), too_large (beyond the 20 KB that S3 takes).
result<std::string> with_older_sessions_denied(std::string_view policy, std::string_view role_arn,
                                               std::string_view bucket, timestamp before);

}  // namespace evp::storage
