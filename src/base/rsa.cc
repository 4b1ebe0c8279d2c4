#include "base/rsa.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdio>
#include <cstdlib>

#include "base/crypto.h"
#include "base/pem.h"

namespace evp {
namespace {

constexpr int bits_min = 2048, bits_max = 8192;

struct free_context {
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
};
using context = std::unique_ptr<EVP_PKEY_CTX, free_context>;

// Fetched once: OpenSSL 3 looks an implicit algorithm up again at every call.
const EVP_MD* sha256_md() {
  static const EVP_MD* md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

const unsigned char* bytes(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

[[noreturn]] void die() {
  std::fputs("openevp: fatal: an RSA signature failed\n", stderr);
  std::abort();
}

bool is_usable(EVP_PKEY* key) {
  return key && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= bits_min && EVP_PKEY_get_bits(key) <= bits_max;
}

bool use_pkcs1_sha256(EVP_PKEY_CTX* c) {
  return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) > 0 && EVP_PKEY_CTX_set_signature_md(c, sha256_md()) > 0;
}

}  // namespace

result<rsa_private_key> rsa_private_key::parse(const secret& pem) {
  const auto in = pem::reader_of(pem.reveal());
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, pem::no_password, nullptr), EVP_PKEY_free);
  ERR_clear_error();
  if (!is_usable(key.get()))
    return fail(errc::invalid_argument,
                "not an unencrypted RSA private key of 2048 to 8192 bits: paste the PEM text from -----BEGIN PRIVATE "
                "KEY----- to -----END PRIVATE KEY-----");
  return rsa_private_key(std::move(key));
}

std::string rsa_private_key::sign_sha256(std::string_view text) const {
  const context c(EVP_PKEY_CTX_new(key_.get(), nullptr));
  if (!c || EVP_PKEY_sign_init(c.get()) <= 0 || !use_pkcs1_sha256(c.get())) die();
  const auto hashed = sha256(text);
  std::string out(std::size_t(EVP_PKEY_get_size(key_.get())), '\0');
  std::size_t size = out.size();
  if (EVP_PKEY_sign(c.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes(hashed), hashed.size()) <= 0)
    die();
  out.resize(size);
  return out;
}

result<bool> rsa_verify_sha256(std::string_view public_pem, std::string_view text, std::string_view signature) {
  const auto in = pem::reader_of(public_pem);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PUBKEY(in.get(), nullptr, pem::no_password, nullptr), EVP_PKEY_free);
  ERR_clear_error();
  if (!is_usable(key.get())) return fail(errc::invalid_argument, "not an RSA public key in PEM");
  const context c(EVP_PKEY_CTX_new(key.get(), nullptr));
  if (!c || EVP_PKEY_verify_init(c.get()) <= 0 || !use_pkcs1_sha256(c.get())) die();
  const auto hashed = sha256(text);
  const bool good = EVP_PKEY_verify(c.get(), bytes(signature), signature.size(), bytes(hashed), hashed.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace evp
