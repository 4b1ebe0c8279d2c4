#include "base/crypto.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>

namespace evp {
namespace {

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "openevp: fatal: %s\n", what);
  std::abort();
}

unsigned char* bytes(std::string& s) { return reinterpret_cast<unsigned char*>(s.data()); }
const unsigned char* bytes(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

struct free_md_ctx { void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); } };
using md_ctx = std::unique_ptr<EVP_MD_CTX, free_md_ctx>;
struct free_cipher_ctx { void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); } };
using cipher_ctx = std::unique_ptr<EVP_CIPHER_CTX, free_cipher_ctx>;

// Fetched once: OpenSSL 3 looks an implicit algorithm up again at every call.
const EVP_MD* fetched(const char* name) {
  EVP_MD* md = EVP_MD_fetch(nullptr, name, nullptr);
  if (!md) die("OpenSSL lacks a digest");
  return md;
}
const EVP_MD* sha256_md() { static const EVP_MD* md = fetched("SHA256"); return md; }
const EVP_MD* md5_md() { static const EVP_MD* md = fetched("MD5"); return md; }
const EVP_CIPHER* gcm() {
  static const EVP_CIPHER* c = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  if (!c) die("OpenSSL lacks AES-256-GCM");
  return c;
}

std::string digest(const EVP_MD* md, std::string_view text) {
  thread_local md_ctx ctx(EVP_MD_CTX_new());
  std::string out(std::size_t(EVP_MD_get_size(md)), '\0');
  if (!EVP_DigestInit_ex2(ctx.get(), md, nullptr) || !EVP_DigestUpdate(ctx.get(), text.data(), text.size()) ||
      !EVP_DigestFinal_ex(ctx.get(), bytes(out), nullptr))
    die("digest");
  return out;
}

constexpr std::size_t nonce_size = 12, tag_size = 16, key_size = 32;

}  // namespace

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(bytes(out), int(count)) != 1) die("no random bytes");
  return out;
}

std::string random_id(std::size_t length) {
  static constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  auto out = random_bytes(length);
  for (auto& c : out) c = alphabet[static_cast<unsigned char>(c) & 31];
  return out;
}

std::string sha256(std::string_view text) { return digest(sha256_md(), text); }
std::string md5(std::string_view text) { return digest(md5_md(), text); }

std::string hmac_sha256(std::string_view key, std::string_view text) {
  static EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  struct free_ctx { void operator()(EVP_MAC_CTX* p) const { EVP_MAC_CTX_free(p); } };
  thread_local std::unique_ptr<EVP_MAC_CTX, free_ctx> ctx = [] {
    std::unique_ptr<EVP_MAC_CTX, free_ctx> c(EVP_MAC_CTX_new(mac));
    char name[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0), OSSL_PARAM_construct_end()};
    if (!c || !EVP_MAC_CTX_set_params(c.get(), params)) die("HMAC");
    return c;
  }();
  // A null key would mean "the key of last time"; an empty key is a key.
  const unsigned char none = 0;
  std::string out(32, '\0');
  std::size_t written = 0;
  if (!EVP_MAC_init(ctx.get(), key.empty() ? &none : bytes(key), key.size(), nullptr) ||
      !EVP_MAC_update(ctx.get(), bytes(text), text.size()) || !EVP_MAC_final(ctx.get(), bytes(out), &written, out.size()))
    die("HMAC");
  return out;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

struct sha256_stream::state {
  md_ctx ctx{EVP_MD_CTX_new()};
  void start() {
    if (!EVP_DigestInit_ex2(ctx.get(), sha256_md(), nullptr)) die("SHA-256");
  }
};

sha256_stream::sha256_stream() : state_(std::make_unique<state>()) { state_->start(); }
sha256_stream::~sha256_stream() = default;
sha256_stream::sha256_stream(sha256_stream&&) noexcept = default;
sha256_stream& sha256_stream::operator=(sha256_stream&&) noexcept = default;
void sha256_stream::update(std::string_view text) {
  if (!EVP_DigestUpdate(state_->ctx.get(), text.data(), text.size())) die("SHA-256");
}
std::string sha256_stream::finish() {
  std::string out(32, '\0');
  if (!EVP_DigestFinal_ex(state_->ctx.get(), bytes(out), nullptr)) die("SHA-256");
  state_->start();
  return out;
}

struct md5_stream::state {
  md_ctx ctx{EVP_MD_CTX_new()};
  void start() {
    if (!EVP_DigestInit_ex2(ctx.get(), md5_md(), nullptr)) die("MD5");
  }
};

md5_stream::md5_stream() : state_(std::make_unique<state>()) { state_->start(); }
md5_stream::~md5_stream() = default;
md5_stream::md5_stream(md5_stream&&) noexcept = default;
md5_stream& md5_stream::operator=(md5_stream&&) noexcept = default;
void md5_stream::update(std::string_view text) {
  if (!EVP_DigestUpdate(state_->ctx.get(), text.data(), text.size())) die("MD5");
}
std::string md5_stream::finish() {
  std::string out(16, '\0');
  if (!EVP_DigestFinal_ex(state_->ctx.get(), bytes(out), nullptr)) die("MD5");
  state_->start();
  return out;
}

std::string aes256gcm_seal(const secret& key, std::string_view plain, std::string_view context) {
  if (key.size() != key_size) die("AES-256 key of the wrong size");
  auto out = random_bytes(nonce_size);
  const auto nonce = out;
  out.resize(nonce_size + plain.size() + tag_size);
  const cipher_ctx ctx(EVP_CIPHER_CTX_new());
  int n = 0;
  if (!EVP_EncryptInit_ex2(ctx.get(), gcm(), bytes(key.reveal()), bytes(nonce), nullptr) ||
      !EVP_EncryptUpdate(ctx.get(), nullptr, &n, bytes(context), int(context.size())) ||
      !EVP_EncryptUpdate(ctx.get(), bytes(out) + nonce_size, &n, bytes(plain), int(plain.size())) ||
      !EVP_EncryptFinal_ex(ctx.get(), bytes(out) + nonce_size + n, &n) ||
      !EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, int(tag_size), bytes(out) + nonce_size + plain.size()))
    die("AES-256-GCM");
  return out;
}

result<secret> aes256gcm_open(const secret& key, std::string_view sealed, std::string_view context) {
  const auto corrupt = [] {
    return fail(errc::data_corrupt, "a sealed value cannot be opened: the master key is another one, or the value was changed");
  };
  if (key.size() != key_size || sealed.size() < nonce_size + tag_size) return corrupt();
  const auto body = sealed.substr(nonce_size, sealed.size() - nonce_size - tag_size);
  std::string tag(sealed.substr(sealed.size() - tag_size));
  std::string plain(body.size(), '\0');
  const cipher_ctx ctx(EVP_CIPHER_CTX_new());
  int n = 0;
  if (!EVP_DecryptInit_ex2(ctx.get(), gcm(), bytes(key.reveal()), bytes(sealed), nullptr) ||
      !EVP_DecryptUpdate(ctx.get(), nullptr, &n, bytes(context), int(context.size())) ||
      !EVP_DecryptUpdate(ctx.get(), bytes(plain), &n, bytes(body), int(body.size())) ||
      !EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, int(tag_size), bytes(tag)) ||
      EVP_DecryptFinal_ex(ctx.get(), bytes(plain) + n, &n) != 1) {
    OPENSSL_cleanse(plain.data(), plain.size());
    return corrupt();
  }
  return secret(std::move(plain));
}

result<void> check_pem_certificates(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), int(pem.size())), BIO_free);
  int found = 0;
  while (X509* cert = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    X509_free(cert);
    ++found;
  }
  const auto why = ERR_peek_last_error();
  ERR_clear_error();
  if (found == 0 || ERR_GET_REASON(why) != PEM_R_NO_START_LINE)
    return fail(errc::invalid_argument, "not a PEM certificate: paste the text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----");
  return {};
}

}  // namespace evp
