#include "base/x509.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

#include "base/certificate_id.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "base/freed.h"
#include "base/pem.h"

namespace evp {
namespace {

constexpr auto authority_lifetime = std::chrono::days(20 * 365);
constexpr auto clock_slack = std::chrono::hours(1);
constexpr std::size_t serial_bytes = 16;
constexpr int rsa_bits_min = 2048, rsa_bits_max = 4096;

/// What cannot fail but for lack of memory, or by a defect of ours.
void must(bool ok) {
  if (ok) return;
  std::fputs("openevp: fatal: a certificate could not be made\n", stderr);
  std::abort();
}

template <class Write, class T>
std::string pem_of(Write write, T* what) {
  const auto out = pem::writer();
  must(out && write(out.get(), what) == 1);
  return pem::text_of(out);
}

bool is_usable(EVP_PKEY* key) {
  if (!key) return false;
  if (EVP_PKEY_is_a(key, "RSA"))
    return EVP_PKEY_get_bits(key) >= rsa_bits_min && EVP_PKEY_get_bits(key) <= rsa_bits_max;
  char group[32] = "";
  std::size_t size = 0;
  if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1) return false;
  const std::string_view name(group, size);
  return name == "prime256v1" || name == "secp384r1";
}

void extend(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, freed<X509_EXTENSION_free>> e(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  must(e && X509_add_ext(certificate, e.get(), -1) == 1);
}

/// Seconds are what a certificate has.
void set_times(X509* certificate, timestamp from, timestamp until) {
  const auto seconds_of = [](timestamp t) { return std::chrono::floor<seconds>(t).time_since_epoch().count(); };
  must(ASN1_TIME_set(X509_getm_notBefore(certificate), seconds_of(from)) != nullptr);
  must(ASN1_TIME_set(X509_getm_notAfter(certificate), seconds_of(until)) != nullptr);
}

std::string set_serial(X509* certificate) {
  auto bytes = random_bytes(serial_bytes);
  bytes[0] = char((bytes[0] & 0x7f) | 0x40);  // positive, and always as long
  const std::unique_ptr<BIGNUM, freed<BN_free>> n(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), int(bytes.size()), nullptr));
  must(n && BN_to_ASN1_INTEGER(n.get(), X509_get_serialNumber(certificate)) != nullptr);
  return to_hex(bytes);
}

bool set_name(X509* certificate, std::string_view common_name) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()), int(common_name.size()),
                                    -1, 0) == 1;
}

tl::unexpected<error> no_request(const char* why) {
  ERR_clear_error();
  return fail(
      errc::invalid_argument,
      std::string("not a request for a certificate (PKCS #10, PEM or base64): ") + why +
          ". Make one with a key of EC P-256 or P-384, or RSA of 2048 to 4096 bits: openssl req -new -newkey ec "
          "-pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -subj /CN=device");
}

tl::unexpected<error> stranger() {
  ERR_clear_error();
  return fail(errc::unauthenticated,
              "this is no certificate of this backend's that is good, or not used by who has its key");
}

}  // namespace

result<signing_request> signing_request::parse(std::string_view text) {
  if (text.size() > max_bytes) return no_request("it is too long");
  std::shared_ptr<X509_REQ> r;
  if (text.find("-----BEGIN") != text.npos) {
    r.reset(PEM_read_bio_X509_REQ(pem::reader_of(text).get(), nullptr, pem::no_password, nullptr), X509_REQ_free);
  } else {
    std::string line(text);
    std::erase_if(line, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
    const auto der = from_base64(line);
    if (!der) return no_request("it cannot be read");
    const auto* at = reinterpret_cast<const unsigned char*>(der->data());
    r.reset(d2i_X509_REQ(nullptr, &at, long(der->size())), X509_REQ_free);
  }
  if (!r) return no_request("it cannot be read");
  EVP_PKEY* key = X509_REQ_get0_pubkey(r.get());
  if (!is_usable(key)) return no_request("its key is of a kind that is not taken");
  if (X509_REQ_verify(r.get(), key) != 1) return no_request("its signature is not of its key");
  ERR_clear_error();
  return signing_request(std::move(r));
}

std::string signing_request::key_sha256() const {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(X509_REQ_get0_pubkey(request_.get()), &der);
  must(size > 0);
  auto digest = sha256({reinterpret_cast<const char*>(der), std::size_t(size)});
  OPENSSL_free(der);
  return to_hex(digest);
}

secret certificate_authority::make(std::string_view common_name, timestamp now) {
  const std::unique_ptr<EVP_PKEY, freed<EVP_PKEY_free>> key(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, freed<X509_free>> self(X509_new());
  must(key && self && X509_set_version(self.get(), X509_VERSION_3) == 1 && set_name(self.get(), common_name));
  set_serial(self.get());
  set_times(self.get(), now - clock_slack, now + authority_lifetime);
  must(X509_set_pubkey(self.get(), key.get()) == 1);
  must(X509_set_issuer_name(self.get(), X509_get_subject_name(self.get())) == 1);
  extend(self.get(), self.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  extend(self.get(), self.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(self.get(), self.get(), NID_subject_key_identifier, "hash");
  must(X509_sign(self.get(), key.get(), EVP_sha256()) > 0);
  const auto write_key = [](BIO* b, EVP_PKEY* k) {
    return PEM_write_bio_PKCS8PrivateKey(b, k, nullptr, nullptr, 0, nullptr, nullptr);
  };
  return secret(pem_of(write_key, key.get()) + pem_of(PEM_write_bio_X509, self.get()));
}

result<certificate_authority> certificate_authority::load(const secret& pem) {
  const auto in = pem::reader_of(pem.reveal());
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, pem::no_password, nullptr), EVP_PKEY_free);
  std::shared_ptr<X509> self(PEM_read_bio_X509(in.get(), nullptr, pem::no_password, nullptr), X509_free);
  const bool fits = key && self && X509_check_private_key(self.get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits) return fail(errc::data_corrupt, "the key of the devices' certificate authority cannot be read");
  auto text = pem_of(PEM_write_bio_X509, self.get());
  return certificate_authority(std::move(key), std::move(self), std::move(text));
}

result<issued_certificate> certificate_authority::issue(const signing_request& r, const std::string& common_name,
                                                        milliseconds lifetime, timestamp now) const {
  if (common_name.size() > max_name_characters)
    return fail(
        errc::invalid_argument,
        "a certificate's common name has at most 64 characters, and this device's name with its tenant has more");
  const std::unique_ptr<X509, freed<X509_free>> made(X509_new());
  must(made && X509_set_version(made.get(), X509_VERSION_3) == 1 && set_name(made.get(), common_name));
  issued_certificate out;
  out.serial = set_serial(made.get());
  out.not_after = std::chrono::floor<seconds>(now + lifetime);
  set_times(made.get(), now - clock_slack, out.not_after);
  must(X509_set_pubkey(made.get(), X509_REQ_get0_pubkey(r.request_.get())) == 1);
  must(X509_set_issuer_name(made.get(), X509_get_subject_name(self_.get())) == 1);
  extend(made.get(), self_.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(made.get(), self_.get(), NID_key_usage, "critical,digitalSignature");
  extend(made.get(), self_.get(), NID_ext_key_usage, "clientAuth");
  extend(made.get(), self_.get(), NID_subject_key_identifier, "hash");
  extend(made.get(), self_.get(), NID_authority_key_identifier, "keyid:always");
  must(X509_sign(made.get(), key_.get(), EVP_sha256()) > 0);
  out.pem = pem_of(PEM_write_bio_X509, made.get());
  return out;
}

result<certificate_authority::holder> certificate_authority::holder_of(const X509& certificate, timestamp now) const {
  auto* c = const_cast<X509*>(&certificate);  // X509_verify() takes no constant one, and fills caches
  auto at = std::chrono::floor<seconds>(now).time_since_epoch().count();
  const bool is_good = X509_verify(c, key_.get()) == 1 && X509_cmp_time(X509_get0_notBefore(c), &at) < 0 &&
                       X509_cmp_time(X509_get0_notAfter(c), &at) > 0;
  if (!is_good) return stranger();
  holder out;
  char name[max_name_characters * 4 + 1] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(c), NID_commonName, name, sizeof name);
  out.common_name = name;
  const std::unique_ptr<BIGNUM, freed<BN_free>> serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(c), nullptr));
  must(serial != nullptr);
  std::string raw(serial_bytes, '\0');
  if (BN_bn2binpad(serial.get(), reinterpret_cast<unsigned char*>(raw.data()), int(raw.size())) < 0) return stranger();
  out.serial = to_hex(raw);
  ERR_clear_error();
  return out;
}

result<certificate_authority::holder> certificate_authority::identify(std::string_view certificate_pem,
                                                                      std::string_view text, std::string_view signature,
                                                                      timestamp now) const {
  const std::unique_ptr<X509, freed<X509_free>> c(
      PEM_read_bio_X509(pem::reader_of(certificate_pem).get(), nullptr, pem::no_password, nullptr));
  if (!c) return stranger();
  TRY(auto out, holder_of(*c, now));
  const auto bytes = from_base64(signature);
  if (!bytes) return stranger();
  const std::unique_ptr<EVP_MD_CTX, freed<EVP_MD_CTX_free>> check(EVP_MD_CTX_new());
  const auto as_bytes = [](std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); };
  must(check != nullptr);
  const bool is_its =
      EVP_DigestVerifyInit(check.get(), nullptr, EVP_sha256(), nullptr, X509_get0_pubkey(c.get())) == 1 &&
      EVP_DigestVerify(check.get(), as_bytes(*bytes), bytes->size(), as_bytes(text), text.size()) == 1;
  if (!is_its) return stranger();
  return out;
}

result<certificate_authority::holder> certificate_authority::recognize(std::string_view certificate_der,
                                                                       timestamp now) const {
  const auto* at = reinterpret_cast<const unsigned char*>(certificate_der.data());
  const std::unique_ptr<X509, freed<X509_free>> c(d2i_X509(nullptr, &at, long(certificate_der.size())));
  if (!c) return stranger();
  return holder_of(*c, now);
}

result<std::string> certificate_authority::id_of(const std::string& serial) const {
  const auto raw = from_hex(serial);
  if (!raw || raw->empty()) return fail(errc::invalid_argument, "a serial number has hexadecimal digits");
  const std::unique_ptr<BIGNUM, freed<BN_free>> n(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(raw->data()), int(raw->size()), nullptr));
  const std::unique_ptr<ASN1_INTEGER, freed<ASN1_INTEGER_free>> number(n ? BN_to_ASN1_INTEGER(n.get(), nullptr)
                                                                         : nullptr);
  must(number != nullptr);
  auto id = certificate_id(X509_get_subject_name(self_.get()), number.get());
  must(!id.empty());
  return id;
}

result<std::string> certificate_authority::as_pkcs7(std::string_view pem) {
  const std::unique_ptr<PKCS7, freed<PKCS7_free>> all(PKCS7_new());
  must(all && PKCS7_set_type(all.get(), NID_pkcs7_signed) == 1 && PKCS7_content_new(all.get(), NID_pkcs7_data) == 1);
  const auto in = pem::reader_of(pem);
  int count = 0;
  for (;; ++count) {
    const std::unique_ptr<X509, freed<X509_free>> one(PEM_read_bio_X509(in.get(), nullptr, pem::no_password, nullptr));
    if (!one) break;
    must(PKCS7_add_certificate(all.get(), one.get()) == 1);
  }
  ERR_clear_error();
  if (count == 0) return fail(errc::invalid_argument, "no certificate in PEM");
  PKCS7_set_detached(all.get(), 1);
  unsigned char* der = nullptr;
  const int size = i2d_PKCS7(all.get(), &der);
  must(size > 0);
  auto out = to_base64({reinterpret_cast<const char*>(der), std::size_t(size)});
  OPENSSL_free(der);
  return out;
}

}  // namespace evp
