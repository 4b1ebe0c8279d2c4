#include "auth/post_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/json_text.h"
#include "auth/test_request.h"
#include "base/encoding.h"
#include "base/test_rsa_key.h"

namespace evp::auth {
namespace {

std::string value_of(const post_form& form, std::string_view name) {
  for (const auto& [n, v] : form)
    if (n == name) return v.reveal();
  return "missing";
}

TEST(post_policy_test, an_s3_form_is_the_one_of_the_vendors_sdk) {
  const sigv4_signer signer({sdk_id, sdk_key, secret()}, "us-east-1");
  post_policy policy;
  policy.bucket = "examplebucket";
  policy.key = "a/b.txt";
  policy.size_bytes = {1, 1048576};
  const auto form = sign_post(signer, policy, sdk_time, sdk_time + seconds(600));
  EXPECT_EQ(value_of(form, "X-Amz-Signature"), "39aba6b4719426d39d60c44f4eea5bc4323467b5684d6d1833a429627d05567b");
  EXPECT_EQ(from_base64(value_of(form, "Policy")).value(),
            R"({"expiration":"2024-05-06T07:18:09Z","conditions":[["content-length-range",1,1048576],)"
            R"({"bucket":"examplebucket"},{"X-Amz-Algorithm":"AWS4-HMAC-SHA256"},)"
            R"({"X-Amz-Credential":"AKIDEXAMPLE/20240506/us-east-1/s3/aws4_request"},)"
            R"({"X-Amz-Date":"20240506T070809Z"},{"key":"a/b.txt"}]})");
}

TEST(post_policy_test, every_field_that_is_sent_stands_in_the_policy) {
  const sigv4_signer signer({sdk_id, sdk_key, secret("token")}, "us-east-1");
  post_policy policy;
  policy.bucket = "b";
  policy.key = "dev1/${filename}";
  policy.key_prefix = "dev1/";
  policy.fields = {{"Content-Type", "image/jpeg"}, {"x-amz-meta-a", "\"quoted\"\\\n"}};
  const auto form = sign_post(signer, policy, sdk_time, sdk_time + seconds(600));
  const auto text = from_base64(value_of(form, "Policy")).value();
  EXPECT_THAT(text, testing::HasSubstr(R"(["starts-with","$key","dev1/"])"));
  for (const auto& [name, value] : form) {
    if (name == "key" || name == "Policy" || name == "X-Amz-Signature") continue;
    EXPECT_THAT(text, testing::HasSubstr("{" + json_quoted(name) + ":" + json_quoted(value.reveal()) + "}"));
  }
}

TEST(post_policy_test, a_google_form_is_signed_with_rsa_over_its_policy) {
  const auto pair = test_rsa_key::make();
  const goog4_signer signer("a@b", *rsa_private_key::parse(secret(pair.private_pem)));
  post_policy policy;
  policy.bucket = "b";
  policy.key = "$é😀";
  const auto form = sign_post(signer, policy, sdk_time, sdk_time + seconds(10)).value();
  EXPECT_EQ(value_of(form, "key"), "$é😀");
  const auto encoded = value_of(form, "policy");
  EXPECT_EQ(from_base64(encoded).value(),
            R"({"conditions":[{"bucket":"b"},{"key":"$\u00e9\ud83d\ude00"},{"x-goog-date":"20240506T070809Z"},)"
            R"({"x-goog-credential":"a@b/20240506/auto/storage/goog4_request"},)"
            R"({"x-goog-algorithm":"GOOG4-RSA-SHA256"}],"expiration":"2024-05-06T07:08:19Z"})");
  const auto signature = from_hex(value_of(form, "x-goog-signature")).value();
  EXPECT_TRUE(rsa_verify_sha256(pair.public_pem, encoded, signature).value());
}

TEST(post_policy_test, a_google_form_under_an_hmac_key_names_that_algorithm) {
  const auto signer = make_goog4_hmac_signer("GOOG1", sdk_key);
  post_policy policy;
  policy.bucket = "b";
  policy.key = "k";
  const auto form = sign_goog4_hmac_post(signer, policy, sdk_time, sdk_time + seconds(10));
  EXPECT_EQ(value_of(form, "x-goog-algorithm"), "GOOG4-HMAC-SHA256");
  EXPECT_EQ(value_of(form, "x-goog-signature"), to_hex(signer.sign_text(value_of(form, "policy"), sdk_time)));
}

TEST(json_text_test, control_characters_are_written_as_json_stringify_writes_them) {
  EXPECT_EQ(json_quoted("\b\t\n\f\r\v\x01\x7f\"\\/"), "\"\\b\\t\\n\\f\\r\\u000b\\u0001\x7f\\\"\\\\/\"");
  EXPECT_EQ(json_quoted("é"), "\"é\"");
}

}  // namespace
}  // namespace evp::auth
