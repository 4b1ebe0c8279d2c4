// A device's own key pair: made on the device or on its token, and never anywhere else.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace evp {

/// EC P-256, or what a token holds (token_key.h). Copies share it. Any thread; a token's key may block for its
/// signature.
class device_key {
 public:
  static device_key make();
  /// The first private key in the text. Errors: data_corrupt (there is none that is readable without a password).
  static result<device_key> load(const secret& pem);
  explicit device_key(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}

  /// PKCS #8, PEM. Not of a token's key.
  secret pem() const;
  /// A request for a certificate (PKCS #10, PEM). Its subject is empty of meaning: who a device is, its issuer knows
  /// otherwise. Errors: unavailable (the token does not sign).
  result<std::string> request() const;
  /// Of the text's SHA-256, base64. Errors: unavailable (the token does not sign).
  result<std::string> sign(std::string_view text) const;
  /// Whether the first certificate in the text is for this key. Errors: data_corrupt (there is none).
  result<bool> is_of(std::string_view certificate_pem) const;

  /// For a TLS context. Lives as long as a copy of this.
  EVP_PKEY* native() const { return key_.get(); }

 private:
  std::shared_ptr<EVP_PKEY> key_;
};

/// From when until when a certificate is good.
struct validity {
  long long not_before = 0, not_after = 0;  ///< Unix time, s
};
/// Of the first certificate in the text. Errors: data_corrupt (there is none).
result<validity> validity_of(std::string_view pem);

}  // namespace evp
