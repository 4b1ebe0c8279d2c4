#include "base/device_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/encoding.h"
#include "base/pem.h"

namespace evp {
namespace {

/// What cannot fail but for lack of memory.
void must(bool ok) {
  if (ok) return;
  std::fputs("openevp: fatal: a key could not be used\n", stderr);
  std::abort();
}

long long seconds_of(const ASN1_TIME* t) {
  std::tm tm{};
  must(ASN1_TIME_to_tm(t, &tm) == 1);
  return ::timegm(&tm);
}

/// A key in memory always signs; a token may have been pulled out.
tl::unexpected<error> no_signature() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  const std::string why = reason ? reason : "no reason given";
  ERR_clear_error();
  return fail(errc::unavailable, "the device's key did not sign: " + why);
}

using certificate = std::unique_ptr<X509, decltype(&X509_free)>;
result<certificate> certificate_in(std::string_view pem) {
  certificate c(PEM_read_bio_X509(pem::reader_of(pem).get(), nullptr, pem::no_password, nullptr), X509_free);
  ERR_clear_error();
  if (!c) return fail(errc::data_corrupt, "the device's certificate cannot be read");
  return c;
}

}  // namespace

device_key device_key::make() {
  std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  must(key != nullptr);
  return device_key(std::move(key));
}

result<device_key> device_key::load(const secret& pem) {
  std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(pem::reader_of(pem.reveal()).get(), nullptr, pem::no_password, nullptr), EVP_PKEY_free);
  ERR_clear_error();
  if (!key) return fail(errc::data_corrupt, "the device's key cannot be read");
  return device_key(std::move(key));
}

secret device_key::pem() const {
  const auto out = pem::writer();
  must(out && PEM_write_bio_PKCS8PrivateKey(out.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return secret(pem::text_of(out));
}

result<std::string> device_key::request() const {
  const std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> r(X509_REQ_new(), X509_REQ_free);
  must(r && X509_REQ_set_pubkey(r.get(), key_.get()) == 1);
  if (X509_REQ_sign(r.get(), key_.get(), EVP_sha256()) <= 0) return no_signature();
  const auto out = pem::writer();
  must(out && PEM_write_bio_X509_REQ(out.get(), r.get()) == 1);
  return pem::text_of(out);
}

result<std::string> device_key::sign(std::string_view text) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> c(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  must(c != nullptr);
  if (EVP_DigestSignInit(c.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1) return no_signature();
  if (EVP_DigestSign(c.get(), nullptr, &size, bytes, text.size()) != 1) return no_signature();
  std::string out(size, '\0');
  if (EVP_DigestSign(c.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes, text.size()) != 1)
    return no_signature();
  out.resize(size);
  return to_base64(out);
}

result<bool> device_key::is_of(std::string_view certificate_pem) const {
  TRY(const auto c, certificate_in(certificate_pem));
  const bool is = X509_check_private_key(c.get(), key_.get()) == 1;  // compares the public halves
  ERR_clear_error();
  return is;
}

result<validity> validity_of(std::string_view pem) {
  TRY(const auto c, certificate_in(pem));
  return validity{seconds_of(X509_get0_notBefore(c.get())), seconds_of(X509_get0_notAfter(c.get()))};
}

}  // namespace evp
