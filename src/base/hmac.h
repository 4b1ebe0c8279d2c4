// HMAC with a key that is used many times: what depends on the key alone is hashed once (RFC 2104, 4).
#pragma once

#include <openssl/sha.h>

#include <array>
#include <string>
#include <string_view>
#include <variant>

namespace evp {

enum class hash { sha1, sha256, sha512 };

/// The raw bytes that a hash gives: 20, 32 or 64, kept in place rather than on the heap. Reads as a string_view.
class hash_bytes {
 public:
  explicit hash_bytes(std::size_t size) noexcept : size_(size) {}
  operator std::string_view() const noexcept { return {reinterpret_cast<const char*>(bytes_.data()), size_}; }
  explicit operator std::string() const { return std::string(std::string_view(*this)); }
  unsigned char* data() noexcept { return bytes_.data(); }
  std::size_t size() const noexcept { return size_; }
  friend bool operator==(const hash_bytes& a, std::string_view b) noexcept { return std::string_view(a) == b; }

 private:
  std::array<unsigned char, SHA512_DIGEST_LENGTH> bytes_;
  std::size_t size_;
};

/// The digest of the bytes. SHA-1 only where a vendor's protocol demands it.
hash_bytes digest(hash function, std::string_view bytes);

/// A key for HMAC, kept as the two hash states after its padded blocks: a signature of a short text costs two blocks
/// less, and no look-up of the algorithm. As secret as the key; wiped when it dies. Signing is pure; any thread.
class hmac_key {
 public:
  /// Any length of key. The key itself is not kept.
  hmac_key(hash function, std::string_view key);
  hmac_key(const hmac_key&) = default;
  hmac_key& operator=(const hmac_key&) = default;
  ~hmac_key();

  hash_bytes sign(std::string_view bytes) const;

 private:
  template <class Context>
  struct states {
    Context inner, outer;
  };
  std::variant<states<SHA_CTX>, states<SHA256_CTX>, states<SHA512_CTX>> states_;
};

/// For keys that are used once.
inline hash_bytes hmac(hash function, std::string_view key, std::string_view bytes) {
  return hmac_key(function, key).sign(bytes);
}

}  // namespace evp
