// Signed upload forms: a browser-style POST whose policy bounds name, size and fields. S3 and the dialects of its
// signature.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
// https://cloud.google.com/storage/docs/authentication/signatures#policy-document
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/goog4.h"
#include "auth/sigv4.h"

namespace evp::auth {

/// What a form permits. Every field that is sent must be named by a condition; the signer adds those of the signature.
struct post_policy {
  std::string bucket;
  std::string key;         ///< the object; "dev1/${filename}" with a key_prefix: the sender chooses what follows it
  std::string key_prefix;  ///< set: the object must begin so, instead of being `key`
  std::optional<std::pair<std::uint64_t, std::uint64_t>> size_bytes;  ///< least and most, both inclusive
  std::vector<std::pair<std::string, std::string>> fields;            ///< sent, with these values
  std::vector<std::pair<std::string, std::string>> prefixes;          ///< field and what its value must begin with
};

/// The form's fields in the order to send them; the file itself comes last, as "file". As secret as a signed URL.
using post_form = std::vector<std::pair<std::string, secret>>;

/// Signs a form that lives until `expires_at`, in whole seconds.
post_form sign_post(const sigv4_signer& signer, const post_policy& policy, timestamp now, timestamp expires_at);
/// The same for Google, whose policies have another order. Errors: those of the signer's text_signer.
result<post_form> sign_post(const goog4_signer& signer, const post_policy& policy, timestamp now, timestamp expires_at);
/// For an HMAC key of Google's: `signer` is of make_goog4_hmac_signer.
post_form sign_goog4_hmac_post(const sigv4_signer& signer, const post_policy& policy, timestamp now,
                               timestamp expires_at);

}  // namespace evp::auth
