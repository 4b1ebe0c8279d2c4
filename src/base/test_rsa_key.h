// An RSA key pair of the test run: nothing that looks like a key lies in the source tree.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <string>

namespace evp {

struct test_rsa_key {
  std::string private_pem, public_pem;

  /// A new pair of 2,048 bits (a tenth of a second or so).
  static test_rsa_key make() {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
    const auto text_of = [](auto write) {
      const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
      write(out.get());
      char* text = nullptr;
      const auto size = BIO_get_mem_data(out.get(), &text);
      return std::string(text, std::size_t(size));
    };
    return {text_of([&](BIO* b) { PEM_write_bio_PrivateKey(b, key.get(), nullptr, nullptr, 0, nullptr, nullptr); }),
            text_of([&](BIO* b) { PEM_write_bio_PUBKEY(b, key.get()); })};
  }
};

}  // namespace evp
