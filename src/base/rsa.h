// RSA-SHA256 signatures (RSASSA-PKCS1-v1_5, RFC 8017, 8.2): Google's signed URLs and the JSON web tokens of cloud APIs.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace evp {

/// A private key, ready to sign: parsed once, its numbers stay in OpenSSL's memory, which wipes them. Copies share it.
class rsa_private_key {
 public:
  /// PEM text, PKCS #8 or PKCS #1, unencrypted, RSA of 2,048 to 8,192 bits.
  /// Errors: invalid_argument (anything else; the message does not repeat the text).
  static result<rsa_private_key> parse(const secret& pem);

  /// The raw signature of the text's SHA-256, as long as the key's modulus; the same for the same text. Any thread.
  std::string sign_sha256(std::string_view text) const;

 private:
  explicit rsa_private_key(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}
  std::shared_ptr<EVP_PKEY> key_;
};

/// Whether `signature` is that of the text under the public key (PEM, SubjectPublicKeyInfo). Errors: invalid_argument
/// (no RSA public key).
result<bool> rsa_verify_sha256(std::string_view public_pem, std::string_view text, std::string_view signature);

}  // namespace evp
