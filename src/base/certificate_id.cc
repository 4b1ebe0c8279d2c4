#include "base/certificate_id.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <memory>

#include "base/crypto.h"
#include "base/freed.h"
#include "base/pem.h"

namespace evp {
namespace {

void free_text(char* t) { OPENSSL_free(t); }

/// As UTF-8, whatever types its strings are of; what would divide it is escaped (RFC 2253). Empty: it has a string that
/// is none of its type.
std::string text_of(const X509_NAME* name) {
  const auto out = pem::writer();
  constexpr unsigned long form = XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
  if (!out || X509_NAME_print_ex(out.get(), name, 0, form) < 0) return {};
  return pem::text_of(out);
}

std::string folded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' && out.ends_with(' ')) continue;
    out += c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  }
  return out;
}

}  // namespace

std::string certificate_id(const X509_NAME* issuer, const ASN1_INTEGER* serial) {
  const auto name = text_of(issuer);
  const std::unique_ptr<BIGNUM, freed<BN_free>> number(ASN1_INTEGER_to_BN(serial, nullptr));
  const std::unique_ptr<char, freed<free_text>> digits(number ? BN_bn2hex(number.get()) : nullptr);
  ERR_clear_error();
  if (name.empty() || !digits) return {};
  return sha256(folded(name) + "\n" + digits.get());
}

std::string certificate_id(const X509* certificate) {
  return certificate_id(X509_get_issuer_name(certificate), X509_get0_serialNumber(certificate));
}

}  // namespace evp
