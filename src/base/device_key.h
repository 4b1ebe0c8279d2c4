// A device's own key pair: made on the device, and never anywhere else.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace evp {

/// EC P-256. Copies share it. Any thread.
class device_key {
 public:
  static device_key make();
  /// The first private key in the text. Errors: data_corrupt (there is none that is readable without a password).
  static result<device_key> load(const secret& pem);

  /// PKCS #8, PEM.
  secret pem() const;
  /// A request for a certificate (PKCS #10, PEM). Its subject is empty of meaning: who a device is, its issuer knows
  /// otherwise.
  std::string request() const;
  /// Of the text's SHA-256, base64.
  std::string sign(std::string_view text) const;

 private:
  explicit device_key(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}
  std::shared_ptr<EVP_PKEY> key_;
};

/// From when until when a certificate is good.
struct validity {
  long long not_before = 0, not_after = 0;  ///< Unix time, s
};
/// Of the first certificate in the text. Errors: data_corrupt (there is none).
result<validity> validity_of(std::string_view pem);

}  // namespace evp
