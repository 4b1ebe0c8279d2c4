#include "auth/jwt.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "base/encoding.h"

namespace evp::auth {

secret sign_jwt(const rsa_private_key& key, std::string_view header, std::string_view claims) {
  auto text = to_base64url(header) + "." + to_base64url(claims);
  text += "." + to_base64url(key.sign_sha256(text));
  return secret(std::move(text));
}

result<std::string> certificate_thumbprint(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_mem_buf(pem.data(), int(pem.size())), BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr),
                                                                X509_free);
  ERR_clear_error();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!certificate || !X509_digest(certificate.get(), EVP_sha1(), digest, &size))
    return fail(errc::invalid_argument, "holds no PEM certificate");
  return to_base64url({reinterpret_cast<const char*>(digest), size});
}

}  // namespace evp::auth
