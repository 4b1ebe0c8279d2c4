#include "auth/goog4.h"

#include <gtest/gtest.h>

#include "auth/test_request.h"
#include "base/encoding.h"
#include "base/test_rsa_key.h"

namespace evp::auth {
namespace {

const std::string account = "device-uploads@project.iam.gserviceaccount.com";

struct goog4_test : testing::Test {
  const test_rsa_key pair = test_rsa_key::make();
  const signable_request request = test_request("PUT", "storage.googleapis.com", "/bucket/a b.jpg");
};

TEST_F(goog4_test, a_url_carries_the_rsa_signature_of_its_string_to_sign) {
  const goog4_signer signer(account, *rsa_private_key::parse(secret(pair.private_pem)));
  const auto draft = signer.draft(request, sdk_time, seconds(600));
  EXPECT_EQ(draft.url_until_signature,
            "https://storage.googleapis.com/bucket/a%20b.jpg?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential="
            "device-uploads%40project.iam.gserviceaccount.com%2F20240506%2Fauto%2Fstorage%2Fgoog4_request"
            "&X-Goog-Date=20240506T070809Z&X-Goog-Expires=600&X-Goog-SignedHeaders=host&X-Goog-Signature=");
  const auto url = signer.presign(request, sdk_time, seconds(600)).value();
  const auto signature = from_hex(end_of(url, 512)).value();
  EXPECT_TRUE(rsa_verify_sha256(pair.public_pem, draft.string_to_sign, signature).value());
  EXPECT_EQ(draft.finish(signature), url);
}

TEST_F(goog4_test, another_signer_is_asked_for_the_same_text_and_its_failure_is_passed_on) {
  std::string asked;
  const goog4_signer remote(account, [&](std::string_view text) -> result<std::string> {
    asked = text;
    return fail(errc::unavailable, "IAM is away");
  });
  EXPECT_EQ(remote.presign(request, sdk_time, seconds(600)).error().code(), errc::unavailable);
  EXPECT_EQ(asked, remote.draft(request, sdk_time, seconds(600)).string_to_sign);
  EXPECT_TRUE(asked.starts_with("GOOG4-RSA-SHA256\n20240506T070809Z\n20240506/auto/storage/goog4_request\n"));
}

TEST_F(goog4_test, a_signed_payload_hash_is_taken_from_its_field) {
  const goog4_signer signer(account, *rsa_private_key::parse(secret(pair.private_pem)));
  auto with_hash = request;
  with_hash.fields = {{"x-goog-content-sha256", std::string(64, 'a')}};
  auto with_payload = with_hash;
  with_payload.payload_sha256 = std::string(64, 'a');
  EXPECT_EQ(signer.draft(with_hash, sdk_time, seconds(1)).string_to_sign,
            signer.draft(with_payload, sdk_time, seconds(1)).string_to_sign);
  with_payload.payload_sha256 = std::string(64, 'b');
  EXPECT_NE(signer.draft(with_hash, sdk_time, seconds(1)).string_to_sign,
            signer.draft(with_payload, sdk_time, seconds(1)).string_to_sign);
}

// Computed with Python's hmac after https://cloud.google.com/storage/docs/authentication/signatures.
TEST_F(goog4_test, hmac_keys_sign_too) {
  const auto signer = make_goog4_hmac_signer("GOOGTS7C7FUP3AIRVJTE2BCDKINBTES3HC2GY5CBFJDCQ2SYHV6A6XXVTJFSA", sdk_key);
  EXPECT_EQ(end_of(signer.presign(request, sdk_time, seconds(600)), 64),
            "0249028c3d1b482bb8d00e245b91ba4a88b69cc046c95cc5787e093e1272723a");
}

TEST_F(goog4_test, the_signed_host_has_no_port) {
  EXPECT_EQ(goog4_host("storage.googleapis.com:443"), "storage.googleapis.com");
  EXPECT_EQ(goog4_host("localhost"), "localhost");
  EXPECT_EQ(goog4_host("[::1]:8080"), "[::1]");
  EXPECT_EQ(goog4_host("[::1]"), "[::1]");
}

}  // namespace
}  // namespace evp::auth
