// JSON web tokens that clients sign to prove who they are: RS256 (RFC 7515, RFC 7519, RFC 7523).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/rsa.h"
#include "base/secret.h"

namespace evp::auth {

/// "header.claims.signature". Both texts are JSON objects; the header must name the algorithm RS256. Pure; any thread.
secret sign_jwt(const rsa_private_key& key, std::string_view header, std::string_view claims);

/// The SHA-1 thumbprint of the first certificate in the PEM text, base64url: the "x5t" of RFC 7515, 4.1.7.
/// Errors: invalid_argument (no certificate).
result<std::string> certificate_thumbprint(std::string_view pem);

}  // namespace evp::auth
