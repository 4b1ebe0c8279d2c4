// EC keys and X.509 certificates through OpenSSL.
#include "http/test_certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>

namespace evp::http {
namespace {

std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, std::size_t(size));
  BIO_free(bio);
  return text;
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509* read_certificate(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), int(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

EVP_PKEY* read_key(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), int(pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return key;
}

issued make(const std::string& subject, const issued* by, const std::string& names, long from_s, long to_s) {
  static std::atomic<long> serial{1};
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509* issuer = by != nullptr ? read_certificate(by->certificate_pem) : certificate;
  EVP_PKEY* signer = by != nullptr ? read_key(by->key_pem) : key;

  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  extend(certificate, issuer, NID_basic_constraints, by != nullptr ? "critical,CA:FALSE" : "critical,CA:TRUE");
  extend(certificate, issuer, NID_subject_key_identifier, "hash");
  if (by != nullptr) extend(certificate, issuer, NID_subject_alt_name, names);
  X509_sign(certificate, signer, EVP_sha256());

  issued out;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  out.certificate_pem = text_of(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  out.key_pem = text_of(bio);

  if (by != nullptr) {
    X509_free(issuer);
    EVP_PKEY_free(signer);
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  return out;
}

}  // namespace

test_authority::test_authority(long to_s) {
  static std::atomic<int> number{1};
  self_ = make("OpenEVP test authority " + std::to_string(number++), nullptr, "", -7200, to_s);
}

issued test_authority::issue(const std::string& names, long from_s, long to_s) const {
  return make("OpenEVP test server", &self_, names, from_s, to_s);
}

}  // namespace evp::http
