// For tests: an issuer that signs lists of revoked certificates, good ones and others.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/pem.h"
#include "base/x509.h"

namespace evp {

class list_issuer {
 public:
  explicit list_issuer(std::string_view common_name, timestamp now)
      : pem_(certificate_authority::make(common_name, now).reveal()) {
    const auto in = pem::reader_of(pem_);
    key_.reset(PEM_read_bio_PrivateKey(in.get(), nullptr, pem::no_password, nullptr), EVP_PKEY_free);
    certificate_.reset(PEM_read_bio_X509(in.get(), nullptr, pem::no_password, nullptr), X509_free);
  }
  /// PEM, without the key.
  std::string certificate() const { return pem_.substr(pem_.find("-----BEGIN CERTIFICATE")); }
  const X509_NAME* name() const { return X509_get_subject_name(certificate_.get()); }
  EVP_PKEY* key() const { return key_.get(); }

  /// PEM. `alter` changes it before it is signed, by `signer` where there is one.
  std::string list(const std::vector<long>& serials, timestamp made, timestamp next,
                   const std::function<void(X509_CRL*)>& alter = {}, EVP_PKEY* signer = nullptr) const {
    const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> crl(X509_CRL_new(), X509_CRL_free);
    X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(certificate_.get()));
    const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> at(ASN1_TIME_new(), ASN1_TIME_free);
    const auto set = [&](timestamp t) {
      ASN1_TIME_set(at.get(), std::chrono::floor<seconds>(t).time_since_epoch().count());
      return at.get();
    };
    X509_CRL_set1_lastUpdate(crl.get(), set(made));
    X509_CRL_set1_nextUpdate(crl.get(), set(next));
    const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> number(ASN1_INTEGER_new(), ASN1_INTEGER_free);
    for (const long serial : serials) {
      X509_REVOKED* entry = X509_REVOKED_new();
      ASN1_INTEGER_set(number.get(), serial);
      X509_REVOKED_set_serialNumber(entry, number.get());
      X509_REVOKED_set_revocationDate(entry, set(made));
      X509_CRL_add0_revoked(crl.get(), entry);
    }
    if (alter) alter(crl.get());
    X509_CRL_sign(crl.get(), signer ? signer : key_.get(), EVP_sha256());
    const auto out = pem::writer();
    PEM_write_bio_X509_CRL(out.get(), crl.get());
    return pem::text_of(out);
  }

 private:
  std::string pem_;
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
};

}  // namespace evp
