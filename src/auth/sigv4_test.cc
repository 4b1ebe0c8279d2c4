#include "auth/sigv4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/test_request.h"

namespace evp::auth {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

// The worked examples of the S3 documentation (pages named in sigv4.h): keys, times and signatures are AWS's own.
const timestamp example_time = *parse_rfc3339("2013-05-24T00:00:00Z");
aws_credentials example_credentials() {
  return {"AKIAIOSFODNN7EXAMPLE", secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), secret()};
}
sigv4_request example_request(std::string method, std::string path) {
  sigv4_request r;
  r.method = std::move(method);
  r.authority = "examplebucket.s3.amazonaws.com";
  r.path = std::move(path);
  return r;
}

TEST(sigv4_test, the_documented_presigned_get_comes_out_byte_for_byte) {
  const sigv4_signer signer(example_credentials(), "us-east-1");
  const auto url = signer.presign(example_request("GET", "/test.txt"), example_time, seconds(86400));
  EXPECT_EQ(url.reveal(),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(sigv4_test, the_documented_put_with_signed_fields_has_the_documented_signature) {
  const sigv4_signer signer(example_credentials(), "us-east-1");
  auto request = example_request("PUT", "/test$file.text");
  request.fields = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  const auto fields =
      signer.sign_headers(request, example_time, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
  EXPECT_THAT(std::string(http::find(fields, "Authorization")),
              EndsWith("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST(sigv4_test, the_documented_list_with_query_has_the_documented_signature) {
  const sigv4_signer signer(example_credentials(), "us-east-1");
  auto request = example_request("GET", "/");
  request.query = {{"prefix", "J"}, {"max-keys", "2"}};
  const auto fields =
      signer.sign_headers(request, example_time, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_THAT(std::string(http::find(fields, "Authorization")),
              EndsWith("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
  EXPECT_EQ(sigv4_signer::url_of(request), "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J");
}

TEST(sigv4_test, the_signing_key_follows_the_day) {
  const sigv4_signer kept(example_credentials(), "us-east-1"), fresh(example_credentials(), "us-east-1");
  const auto request = example_request("GET", "/x");
  const auto today = kept.presign(request, example_time, seconds(60));
  const auto tomorrow = kept.presign(request, example_time + std::chrono::hours(24), seconds(60));
  EXPECT_EQ(tomorrow, fresh.presign(request, example_time + std::chrono::hours(24), seconds(60)));
  EXPECT_EQ(today, kept.presign(request, example_time, seconds(60)));
}

TEST(sigv4_test, a_portless_host_is_signed_while_the_url_keeps_its_port) {
  const sigv4_signer signer(example_credentials(), "us-east-1");
  auto with_port = example_request("PUT", "/b/o");
  with_port.scheme = "http";
  with_port.authority = "127.0.0.1:7480";
  auto without = with_port;
  without.host = "127.0.0.1";
  const auto a = signer.presign(with_port, example_time, seconds(60)).reveal();
  const auto b = signer.presign(without, example_time, seconds(60)).reveal();
  EXPECT_THAT(b, HasSubstr("http://127.0.0.1:7480/b/o?"));
  EXPECT_NE(a, b);
  EXPECT_EQ(a.substr(0, a.size() - 64), b.substr(0, b.size() - 64));
}

TEST(sigv4_test, a_session_token_is_signed_in_the_query_and_sent_with_headers) {
  auto credentials = example_credentials();
  credentials.session_token = secret("to/ken+=");
  const sigv4_signer signer(credentials, "us-east-1");
  const auto request = example_request("GET", "/x");
  EXPECT_THAT(signer.presign(request, example_time, seconds(60)).reveal(),
              HasSubstr("&X-Amz-Security-Token=to%2Fken%2B%3D&X-Amz-SignedHeaders=host"));
  const auto fields = signer.sign_headers(request, example_time, unsigned_payload);
  EXPECT_EQ(http::find(fields, "x-amz-security-token"), "to/ken+=");
  EXPECT_THAT(std::string(http::find(fields, "Authorization")), HasSubstr("x-amz-security-token"));
}

TEST(sigv4_test, names_are_encoded_by_the_one_rule_and_not_normalised) {
  const sigv4_signer signer(example_credentials(), "us-east-1");
  const auto url = signer.presign(example_request("GET", "/a b/\xC3\xBC+~*'//c"), example_time, seconds(60)).reveal();
  EXPECT_THAT(url, HasSubstr("/a%20b/%C3%BC%2B~%2A%27//c?"));
}

TEST(sigv4_test, white_space_in_field_values_does_not_change_the_signature) {
  const sigv4_signer signer(example_credentials(), "us-east-1");
  auto a = example_request("PUT", "/x"), b = a;
  a.fields = {{"X-Amz-Meta-Fw", "v  2 "}};
  b.fields = {{"x-amz-meta-fw", "v 2"}};
  EXPECT_EQ(signer.presign(a, example_time, seconds(60)), signer.presign(b, example_time, seconds(60)));
  b.fields = {{"x-amz-meta-fw", "v 3"}};
  EXPECT_FALSE(signer.presign(a, example_time, seconds(60)) == signer.presign(b, example_time, seconds(60)));
}

// The dialects: expected values are those of the vendors' own SDKs.
TEST(sigv4_test, an_oss_url_with_additional_fields_is_the_one_of_the_vendors_sdk) {
  const sigv4_signer signer({sdk_id, sdk_key, secret()}, "cn-hangzhou", "oss", oss4);
  auto r = test_request("PUT", "examplebucket.oss-cn-hangzhou.aliyuncs.com", "/plain");
  r.signed_path = "/examplebucket/plain";
  r.fields = {{"content-length", "5"}};
  r.additional_fields = {"Content-Length"};
  const auto url = signer.presign(r, sdk_time, seconds(900));
  EXPECT_EQ(end_of(url, 64), "f4b8c1187db7d9beaf8e40142c45c67df536993816b86432afaabd8fc6189eb2");
  EXPECT_THAT(url.reveal(), HasSubstr("/plain?x-oss-additional-headers=content-length&x-oss-credential="));
  r.additional_fields.clear();
  EXPECT_THAT(signer.presign(r, sdk_time, seconds(900)).reveal(), Not(HasSubstr("additional")));
}

TEST(sigv4_test, oss_signs_its_own_fields_and_the_content_type_unasked) {
  const sigv4_signer signer({sdk_id, sdk_key, secret()}, "cn-hangzhou", "oss", oss4);
  auto r = test_request("PUT", "examplebucket.oss-cn-hangzhou.aliyuncs.com", "/plain");
  r.signed_path = "/examplebucket/plain";
  const auto bare = end_of(signer.presign(r, sdk_time, seconds(900)), 64);
  EXPECT_EQ(bare, "ee2e74c2ef64da9fac93a3e3a59ab39ea66f291eecc1425d00979730ae6c25bf");
  r.fields = {{"X-Other", "1"}};
  EXPECT_EQ(end_of(signer.presign(r, sdk_time, seconds(900)), 64), bare);
  r.fields = {{"Content-Type", "image/png"}};
  EXPECT_EQ(end_of(signer.presign(r, sdk_time, seconds(900)), 64),
            "77ea1cb4057554190049f86bbac11bbfa765b1670e5862c4bad506142526580a");
}

TEST(sigv4_test, an_oss_authorization_field_lists_only_what_was_asked_for) {
  const sigv4_signer signer({"ak", secret("sk"), secret()}, "cn-hangzhou", "oss", oss4);
  auto r = test_request("PUT", "bucket.oss-cn-hangzhou.aliyuncs.com", "/x");
  r.fields = {{"abc", "value"}};
  r.additional_fields = {"abc"};
  const auto fields = signer.sign_headers(r, sdk_time, unsigned_payload);
  EXPECT_THAT(std::string(http::find(fields, "Authorization")),
              testing::StartsWith("OSS4-HMAC-SHA256 Credential=ak/20240506/cn-hangzhou/oss/aliyun_v4_request,"
                                  "AdditionalHeaders=abc,Signature="));
  EXPECT_EQ(http::find(fields, "x-oss-content-sha256"), unsigned_payload);
}

TEST(sigv4_test, a_tos_url_is_the_one_of_the_vendors_sdk) {
  const sigv4_signer signer({sdk_id, sdk_key, secret()}, "tos-cn-beijing.volces.com", "tos", tos4);
  auto r = test_request("PUT", "examplebucket.tos-cn-beijing.volces.com", "/plain");
  r.query = {{"X-Tos-Content-Sha256", "UNSIGNED-PAYLOAD"}};
  EXPECT_EQ(end_of(signer.presign(r, sdk_time, seconds(900)), 64),
            "8617cc2a45be2b918cac6f4404665f311a1f7fa6a9efed3e16f62d3c2fb4b603");
}

}  // namespace
}  // namespace evp::auth
