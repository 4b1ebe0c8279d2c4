#include "base/rsa.h"

#include <gtest/gtest.h>

#include "base/test_rsa_key.h"

namespace evp {
namespace {

const test_rsa_key& pair() {
  static const auto made = test_rsa_key::make();
  return made;
}

TEST(rsa_test, a_signature_verifies_for_its_text_alone) {
  const auto key = rsa_private_key::parse(secret(pair().private_pem));
  ASSERT_TRUE(key) << key.error().message();
  const auto signature = key->sign_sha256("text");
  EXPECT_EQ(signature.size(), 256u);
  EXPECT_TRUE(rsa_verify_sha256(pair().public_pem, "text", signature).value());
  EXPECT_FALSE(rsa_verify_sha256(pair().public_pem, "Text", signature).value());
  EXPECT_FALSE(rsa_verify_sha256(pair().public_pem, "text", signature.substr(1)).value());
}

TEST(rsa_test, the_same_text_has_the_same_signature_from_a_copy_too) {
  const auto key = *rsa_private_key::parse(secret(pair().private_pem));
  const auto copy = key;
  EXPECT_EQ(key.sign_sha256("text"), copy.sign_sha256("text"));
}

TEST(rsa_test, what_is_no_usable_key_is_refused_without_repeating_it) {
  auto cut = pair().private_pem;
  cut.erase(100, 60);
  for (const auto& text : {std::string("hello"), std::string(), cut, pair().public_pem}) {
    const auto key = rsa_private_key::parse(secret(text));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code(), errc::invalid_argument);
    EXPECT_EQ(key.error().message().find(text.substr(0, 5)) != std::string::npos && text == "hello", false);
  }
  EXPECT_FALSE(rsa_verify_sha256("hello", "text", "signature"));
}

TEST(rsa_test, elliptic_and_short_keys_are_refused) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> curve(EVP_EC_gen("P-256"), EVP_PKEY_free),
      small(EVP_RSA_gen(1024), EVP_PKEY_free);
  for (auto* key : {curve.get(), small.get()}) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    char* text = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &text);
    EXPECT_FALSE(rsa_private_key::parse(secret(std::string(text, std::size_t(size)))));
  }
}

}  // namespace
}  // namespace evp
