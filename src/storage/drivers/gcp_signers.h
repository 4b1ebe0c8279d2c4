// How the grants of Google Cloud Storage are signed: with a service account's key, with an HMAC key, or by Google IAM
// for a machine or a workload that proves who it is.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "auth/credentials/gcp_tokens.h"
#include "auth/goog4.h"
#include "storage/driver.h"

namespace evp::storage {

/// IAM signs, with a key of the account's that only Google has: one call for each signature.
struct gcp_iam_signer {
  std::shared_ptr<auth::credential_cache<secret>> tokens;
  std::string account;  ///< e-mail address; empty: the machine's own, which is asked for once
  std::string origin;   ///< of IAM's API
  /// Not empty: a grant for a prefix is an access token that this token service narrows, instead of a form.
  std::string narrowing_url;
};

using gcp_signer = std::variant<auth::goog4_signer, auth::sigv4_signer, gcp_iam_signer>;

/// What the options say about credentials, and nothing that contradicts itself. Adds the token services that the user
/// named to made.others. Errors: invalid_argument at the field.
result<gcp_signer> gcp_signer_of(const option_values& options, const driver_context& context, made_driver& made);

}  // namespace evp::storage
