// The cryptographic primitives that OpenEVP uses, over OpenSSL 3. Bytes travel as std::string.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace evp {

/// Cryptographically strong random bytes. Ends the process if the system has no entropy: nothing safe can follow.
std::string random_bytes(std::size_t count);
/// Random lower-case base32 text of the given length (5 bits a character), for identifiers.
std::string random_id(std::size_t length = 26);

std::string sha256(std::string_view bytes);  ///< 32 raw bytes
std::string md5(std::string_view bytes);     ///< 16 raw bytes; only for Content-MD5
std::string hmac_sha256(std::string_view key, std::string_view bytes);
/// Takes time that does not depend on where the texts differ.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// SHA-256 of a stream of pieces.
class sha256_stream {
 public:
  sha256_stream();
  ~sha256_stream();
  sha256_stream(sha256_stream&&) noexcept;
  sha256_stream& operator=(sha256_stream&&) noexcept;
  void update(std::string_view bytes);
  /// The digest, 32 raw bytes. The stream starts anew afterwards.
  std::string finish();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// MD5 of a stream of pieces; only for Content-MD5.
class md5_stream {
 public:
  md5_stream();
  ~md5_stream();
  md5_stream(md5_stream&&) noexcept;
  md5_stream& operator=(md5_stream&&) noexcept;
  void update(std::string_view bytes);
  /// The digest, 16 raw bytes. The stream starts anew afterwards.
  std::string finish();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// AES-256-GCM: 12 random nonce bytes, ciphertext, 16 tag bytes. `context` is authenticated, not stored: opening
/// needs the same one, so that a sealed value cannot be moved to another place. key must be 32 bytes.
std::string aes256gcm_seal(const secret& key, std::string_view plain, std::string_view context);
/// Errors: data_corrupt (wrong key, wrong context, or changed bytes).
result<secret> aes256gcm_open(const secret& key, std::string_view sealed, std::string_view context);

/// Checks that the text holds one or more PEM certificates and nothing else that matters, each parseable.
/// Errors: invalid_argument.
result<void> check_pem_certificates(std::string_view pem);

}  // namespace evp
