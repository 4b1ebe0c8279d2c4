// For tests: what an issuer does with a signed assertion.
#pragma once

#include <boost/json.hpp>
#include <optional>

#include "base/encoding.h"
#include "base/rsa.h"

namespace evp::auth {

struct opened_jwt {
  boost::json::object header, claims;
};

inline std::string from_base64url(std::string text) {
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  while (text.size() % 4 != 0) text += '=';
  return from_base64(text).value();
}

/// Nothing unless the signature fits the public key and the algorithm is the one that was agreed.
inline std::optional<opened_jwt> open_jwt(const std::string& token, const std::string& public_pem) {
  const auto first = token.find('.'), second = token.rfind('.');
  if (first == token.npos || second == first) return std::nullopt;
  const auto fits = rsa_verify_sha256(public_pem, token.substr(0, second), from_base64url(token.substr(second + 1)));
  if (!fits || !*fits) return std::nullopt;
  opened_jwt out{boost::json::parse(from_base64url(token.substr(0, first))).as_object(),
                 boost::json::parse(from_base64url(token.substr(first + 1, second - first - 1))).as_object()};
  if (out.header.at("alg") != "RS256") return std::nullopt;
  return out;
}

}  // namespace evp::auth
