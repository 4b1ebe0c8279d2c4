// X.509 (RFC 5280): an authority that issues certificates to devices, and the requests for them (PKCS #10, RFC 2986).
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"
#include "base/time.h"

struct X509_req_st;  // OpenSSL's X509_REQ

namespace evp {

/// A request for a certificate whose signature proves that the sender has the key. Its subject says nothing: who the
/// sender is must be known otherwise.
class signing_request {
 public:
  static constexpr std::size_t max_bytes = 16 * 1024;

  /// PEM, or DER in base64 as EST sends it (RFC 7030, 4.2.1). Keys: EC P-256 or P-384, RSA of 2048 to 4096 bits.
  /// Errors: invalid_argument (what is wrong, and which keys are taken).
  static result<signing_request> parse(std::string_view text);

  /// SHA-256 of the public key (SubjectPublicKeyInfo), 64 hexadecimal digits.
  std::string key_sha256() const;

 private:
  friend class certificate_authority;
  explicit signing_request(std::shared_ptr<X509_req_st> r) : request_(std::move(r)) {}
  std::shared_ptr<X509_req_st> request_;
};

struct issued_certificate {
  std::string pem;
  std::string serial;  ///< hexadecimal digits
  timestamp not_after;
};

/// Issues certificates for TLS clients. Copies share the key.
class certificate_authority {
 public:
  static constexpr std::size_t max_name_characters = 64;  ///< of a common name: RFC 5280, appendix A.1

  /// A new one with a P-256 key, good for 20 years: key and certificate as PEM, for load().
  static secret make(std::string_view common_name, timestamp now);
  /// Errors: data_corrupt (not what make() gave).
  static result<certificate_authority> load(const secret& pem);

  /// For the key of the request, under that name, from an hour ago (clocks of devices are off) for `lifetime` from now.
  /// The serial number is random (RFC 5280, 4.1.2.2). Errors: invalid_argument (a name of more than 64 characters).
  result<issued_certificate> issue(const signing_request& r, const std::string& common_name, milliseconds lifetime,
                                   timestamp now) const;

  struct holder {
    std::string common_name, serial;
  };
  /// Whose certificate of this authority that is, if `signature` is by its key over `text` (SHA-256; base64): so who
  /// sends both has that key. Errors: unauthenticated (another authority's, expired, or the signature is not of its
  /// key).
  result<holder> identify(std::string_view certificate_pem, std::string_view text, std::string_view signature,
                          timestamp now) const;
  /// Whose certificate of this authority that is (DER); for who has it from a TLS handshake, which has proven that the
  /// client has its key. Errors: unauthenticated (another authority's, or expired).
  result<holder> recognize(std::string_view certificate_der, timestamp now) const;

  /// See certificate_id(): of the certificate of that serial number. Errors: invalid_argument (no hexadecimal digits).
  result<std::string> id_of(const std::string& serial) const;

  /// PEM, for those who are to trust it.
  const std::string& certificate() const noexcept { return pem_; }
  /// Certificates alone, as EST gives them: PKCS #7 "certs-only" (RFC 5652) in base64. Errors: invalid_argument (no
  /// PEM).
  static result<std::string> as_pkcs7(std::string_view pem);

 private:
  result<holder> holder_of(const X509& certificate, timestamp now) const;
  certificate_authority(std::shared_ptr<EVP_PKEY> key, std::shared_ptr<X509> self, std::string pem)
      : key_(std::move(key)), self_(std::move(self)), pem_(std::move(pem)) {}
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> self_;
  std::string pem_;
};

}  // namespace evp
