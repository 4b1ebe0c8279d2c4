// HMAC with a key that is used many times: what depends on the key alone is hashed once (RFC 2104, 4).
#pragma once

#include <openssl/sha.h>

#include <string>
#include <string_view>
#include <variant>

namespace evp {

enum class hash { sha1, sha256, sha512 };

/// The digest of the bytes: 20, 32 or 64 raw bytes. SHA-1 only where a vendor's protocol demands it.
std::string digest(hash function, std::string_view bytes);

/// A key for HMAC, kept as the two hash states after its padded blocks: a signature of a short text costs two blocks
/// less, and no look-up of the algorithm. As secret as the key; wiped when it dies. Signing is pure; any thread.
class hmac_key {
 public:
  /// Any length of key. The key itself is not kept.
  hmac_key(hash function, std::string_view key);
  hmac_key(const hmac_key&) = default;
  hmac_key& operator=(const hmac_key&) = default;
  ~hmac_key();

  /// 20, 32 or 64 raw bytes.
  std::string sign(std::string_view bytes) const;

 private:
  template <class Context>
  struct states {
    Context inner, outer;
  };
  std::variant<states<SHA_CTX>, states<SHA256_CTX>, states<SHA512_CTX>> states_;
};

/// For keys that are used once.
inline std::string hmac(hash function, std::string_view key, std::string_view bytes) {
  return hmac_key(function, key).sign(bytes);
}

}  // namespace evp
