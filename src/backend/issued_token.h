// Tokens that are shown once and kept as SHA-256 only: API keys and enrolment tokens.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"

namespace evp::backend {

/// "<kind>_<id>_<secret>": the kind so that scanners of repositories know one when they see it, the id so that it is
/// found, and 160 random bits.
struct issued_token {
  std::string id;
  secret text;
  std::string sha256;  ///< of the whole text, 64 lower-case hexadecimal digits

  static issued_token make(std::string_view kind);
};

/// The id within a token of that kind; empty where the text has not its form.
std::string_view id_of_token(std::string_view kind, std::string_view text);
/// Whether the text is the token with that digest, in constant time; without one (null) it is compared all the same,
/// and false.
bool is_token(std::string_view text, const std::string* sha256);

}  // namespace evp::backend
