// OpenSSL 3 can neither copy a half-hashed EVP_MD_CTX without allocating nor key a MAC without hashing the key anew;
// its plain structs can. They are deprecated as an interface, not as algorithms (docs/adr/0010-hash-midstates.md).
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hmac.h"

#include <openssl/crypto.h>

#include <array>
#include <cstring>

namespace evp {
namespace {

/// One set of names for OpenSSL's three families.
struct sha1_functions {
  using context = SHA_CTX;
  static constexpr std::size_t block = SHA_CBLOCK, size = SHA_DIGEST_LENGTH;
  static void start(context& c) { SHA1_Init(&c); }
  static void update(context& c, const void* data, std::size_t n) { SHA1_Update(&c, data, n); }
  static void finish(context& c, unsigned char* out) { SHA1_Final(out, &c); }
};
struct sha256_functions {
  using context = SHA256_CTX;
  static constexpr std::size_t block = SHA256_CBLOCK, size = SHA256_DIGEST_LENGTH;
  static void start(context& c) { SHA256_Init(&c); }
  static void update(context& c, const void* data, std::size_t n) { SHA256_Update(&c, data, n); }
  static void finish(context& c, unsigned char* out) { SHA256_Final(out, &c); }
};
struct sha512_functions {
  using context = SHA512_CTX;
  static constexpr std::size_t block = SHA512_CBLOCK, size = SHA512_DIGEST_LENGTH;
  static void start(context& c) { SHA512_Init(&c); }
  static void update(context& c, const void* data, std::size_t n) { SHA512_Update(&c, data, n); }
  static void finish(context& c, unsigned char* out) { SHA512_Final(out, &c); }
};

template <class F>
std::string digest_with(std::string_view bytes) {
  typename F::context c;
  F::start(c);
  F::update(c, bytes.data(), bytes.size());
  std::string out(F::size, '\0');
  F::finish(c, reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

/// The states after the key's two blocks: the key xor 0x36 and the key xor 0x5c.
template <class F>
void start_states(typename F::context& inner, typename F::context& outer, std::string_view key) {
  std::array<unsigned char, F::block> block{};
  if (key.size() > block.size()) {
    auto hashed = digest_with<F>(key);
    std::memcpy(block.data(), hashed.data(), hashed.size());
    OPENSSL_cleanse(hashed.data(), hashed.size());
  } else if (!key.empty()) {
    std::memcpy(block.data(), key.data(), key.size());
  }
  for (auto& b : block) b ^= 0x36;
  F::start(inner);
  F::update(inner, block.data(), block.size());
  for (auto& b : block) b ^= 0x36 ^ 0x5c;
  F::start(outer);
  F::update(outer, block.data(), block.size());
  OPENSSL_cleanse(block.data(), block.size());
}

template <class F>
std::string sign_with(typename F::context inner, typename F::context outer, std::string_view bytes) {
  F::update(inner, bytes.data(), bytes.size());
  std::string out(F::size, '\0');
  auto* raw = reinterpret_cast<unsigned char*>(out.data());
  F::finish(inner, raw);
  F::update(outer, raw, F::size);
  F::finish(outer, raw);
  return out;
}

}  // namespace

std::string digest(hash function, std::string_view bytes) {
  switch (function) {
    case hash::sha1: return digest_with<sha1_functions>(bytes);
    case hash::sha512: return digest_with<sha512_functions>(bytes);
    case hash::sha256: break;
  }
  return digest_with<sha256_functions>(bytes);
}

hmac_key::hmac_key(hash function, std::string_view key) {
  if (function == hash::sha1) {
    auto& s = states_.emplace<0>();
    start_states<sha1_functions>(s.inner, s.outer, key);
  } else if (function == hash::sha256) {
    auto& s = states_.emplace<1>();
    start_states<sha256_functions>(s.inner, s.outer, key);
  } else {
    auto& s = states_.emplace<2>();
    start_states<sha512_functions>(s.inner, s.outer, key);
  }
}

hmac_key::~hmac_key() {
  std::visit([](auto& s) { OPENSSL_cleanse(&s, sizeof s); }, states_);
}

std::string hmac_key::sign(std::string_view bytes) const {
  if (const auto* s = std::get_if<0>(&states_)) return sign_with<sha1_functions>(s->inner, s->outer, bytes);
  if (const auto* s = std::get_if<2>(&states_)) return sign_with<sha512_functions>(s->inner, s->outer, bytes);
  const auto& s = std::get<1>(states_);
  return sign_with<sha256_functions>(s.inner, s.outer, bytes);
}

}  // namespace evp
