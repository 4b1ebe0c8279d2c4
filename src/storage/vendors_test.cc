// What the drivers of buckets behind signed URLs make of their options and of bounds, without any network. That the
// signatures are right is shown elsewhere: by evp-vectors and by the conformance suite.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/test_rsa_key.h"
#include "http/test_run.h"
#include "storage/driver.h"

namespace evp::storage {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct no_transport final : http::transport {
  io::task<result<http::response>> send(http::request) override {
    co_return fail(errc::unavailable, "no network here");
  }
};

struct vendors_test : testing::Test {
  no_transport transport;
  io::manual_clock clock{*parse_rfc3339("2026-01-02T03:04:05.678Z")};
  driver_context context{transport, clock, "", "/nonexistent", "http://127.0.0.1:8080", secret("signing key")};

  using options = std::vector<std::pair<std::string, std::string>>;
  result<made_driver> make(std::string_view type, const options& given) {
    option_values values;
    for (const auto& [name, value] : given) values.set(name, secret(value), false);
    return (*find_driver_type(type))->make(values, context);
  }
  std::string refusal(std::string_view type, const options& given) {
    const auto made = make(type, given);
    return made ? "accepted" : made.error().field() + ": " + std::string(to_string(made.error().code()));
  }
  static options keys(const options& more = {}) {
    options all{{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}, {"region", "eu-central-1"}, {"bucket", "fleet"}};
    for (const auto& o : more) all.push_back(o);
    return all;
  }
  result<signed_request> sign(const made_driver& made, sign_spec spec) {
    io::asio::io_context executor;
    return http::run(executor, made.instance->sign(std::move(spec)));
  }
  static sign_spec upload(std::string object = "cam-1/a b.jpg") {
    sign_spec s;
    s.object = std::move(object);
    return s;
  }
};

const char* const bucket_types[] = {"ALIBABA_OSS", "TENCENT_COS", "HUAWEI_OBS", "VOLCENGINE_TOS", "BAIDU_BOS"};

TEST_F(vendors_test, each_vendors_own_address_is_made_of_region_and_bucket) {
  const std::pair<const char*, const char*> places[] = {
      {"ALIBABA_OSS", "https://fleet.oss-eu-central-1.aliyuncs.com/cam-1/a%20b.jpg?"},
      {"TENCENT_COS", "https://fleet.cos.eu-central-1.myqcloud.com/cam-1/a%20b.jpg?"},
      {"HUAWEI_OBS", "https://fleet.obs.eu-central-1.myhuaweicloud.com/cam-1/a%20b.jpg?"},
      {"VOLCENGINE_TOS", "https://fleet.tos-eu-central-1.volces.com/cam-1/a%20b.jpg?"},
      {"BAIDU_BOS", "https://fleet.eu-central-1.bcebos.com/cam-1/a%20b.jpg?"},
      {"GCP", "https://storage.googleapis.com/fleet/cam-1/a%20b.jpg?"}};
  for (const auto& [type, begin] : places) {
    const auto made = make(type, keys());
    ASSERT_TRUE(made) << type << made.error().message();
    const auto grant = sign(*made, upload());
    ASSERT_TRUE(grant) << type;
    EXPECT_THAT(grant->url.reveal(), StartsWith(begin));
    EXPECT_EQ(grant->method, "PUT");
    EXPECT_EQ(grant->expires_at, *parse_rfc3339("2026-01-02T03:06:05Z")) << type;
  }
}

TEST_F(vendors_test, an_address_of_numbers_has_the_bucket_in_its_path) {
  for (const auto* type : bucket_types) {
    const auto made = make(type, keys({{"endpoint", "http://127.0.0.1:9000"}}));
    EXPECT_THAT(sign(*made, upload("x"))->url.reveal(), StartsWith("http://127.0.0.1:9000/fleet/x?")) << type;
    EXPECT_EQ(refusal(type, keys({{"endpoint", "http://127.0.0.1:9000"}, {"pathStyle", "false"}})),
              "pathStyle: invalid_argument");
  }
}

TEST_F(vendors_test, the_field_that_is_wrong_is_named) {
  for (const auto* type : bucket_types) {
    EXPECT_EQ(refusal(type, {}), "region: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"region", "EU central"}})), "region: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"accessKeyId", "a b"}})), "accessKeyId: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"secretAccessKey", ""}})), "secretAccessKey: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"sessionToken", "a\nb"}})), "sessionToken: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"bucket", "Not A Bucket"}})), "bucket: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"container", "other"}})), "bucket: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"endpoint", "ftp://x"}})), "endpoint: invalid_argument") << type;
    EXPECT_EQ(refusal(type, keys({{"endpoint", "https://x.example.com/path"}})), "endpoint: invalid_argument") << type;
  }
  EXPECT_EQ(refusal("TENCENT_COS", {{"region", "eu-frankfurt"}}), "bucket: invalid_argument");
}

TEST_F(vendors_test, temporary_credentials_come_with_a_warning) {
  for (const auto* type : bucket_types)
    EXPECT_THAT(make(type, keys({{"sessionToken", "token"}}))->warnings, Contains(HasSubstr("temporary"))) << type;
}

TEST_F(vendors_test, google_signs_with_either_kind_of_key_but_not_with_both) {
  const auto pem = test_rsa_key::make().private_pem;
  const options rsa{{"serviceAccount", "a@b.iam.gserviceaccount.com"}, {"privateKey", pem}};
  const auto by_rsa = make("GCP", rsa), by_hmac = make("GCP", keys());
  EXPECT_THAT(sign(*by_rsa, upload())->url.reveal(), HasSubstr("X-Goog-Algorithm=GOOG4-RSA-SHA256&"));
  EXPECT_THAT(sign(*by_hmac, upload())->url.reveal(), HasSubstr("X-Goog-Algorithm=GOOG4-HMAC-SHA256&"));
  auto both = rsa;
  both.emplace_back("accessKeyId", "AK");
  EXPECT_EQ(refusal("GCP", both), "privateKey: invalid_argument");
  EXPECT_EQ(refusal("GCP", {}), "serviceAccount: invalid_argument");
  EXPECT_EQ(refusal("GCP", {{"serviceAccount", "a@b"}, {"privateKey", "-----BEGIN"}}), "privateKey: invalid_argument");
}

TEST_F(vendors_test, google_bounds_sizes_by_a_field_and_others_by_the_length_itself) {
  auto five = upload(), at_most = upload();
  five.size = 5;
  at_most.max_size = 5;
  const auto google = make("GCP", keys());
  EXPECT_THAT(sign(*google, five)->fields, ElementsAre(http::header{"x-goog-content-length-range", "5,5"}));
  EXPECT_THAT(sign(*google, at_most)->fields, ElementsAre(http::header{"x-goog-content-length-range", "0,5"}));
  const auto oss = make("ALIBABA_OSS", keys());
  EXPECT_THAT(sign(*oss, five)->url.reveal(), HasSubstr("x-oss-additional-headers=content-length&"));
  EXPECT_THAT(sign(*oss, five)->fields, testing::IsEmpty());  // the sender sets Content-Length anyway
  EXPECT_EQ(sign(*oss, at_most).error().code(), errc::unsupported);
}

TEST_F(vendors_test, a_content_type_of_the_grant_must_agree_with_the_services) {
  for (const auto* type : bucket_types) {
    auto s = upload();
    s.content_type = "image/png";
    EXPECT_THAT(sign(*make(type, keys()), s)->fields, ElementsAre(http::header{"Content-Type", "image/png"})) << type;
    s.fields = {{"content-type", "image/png"}};
    EXPECT_EQ(sign(*make(type, keys()), s)->fields.size(), 1u) << type;
    s.fields = {{"content-type", "text/plain"}};
    EXPECT_EQ(sign(*make(type, keys()), s).error().field(), "headers") << type;
    s.fields = {};
    s.content_type = "image/png\r\nX: y";
    EXPECT_EQ(sign(*make(type, keys()), s).error().field(), "headers") << type;
  }
}

TEST_F(vendors_test, a_driver_of_a_changed_service_signs_no_more) {
  for (const auto* type : {"ALIBABA_OSS", "TENCENT_COS", "HUAWEI_OBS", "VOLCENGINE_TOS", "BAIDU_BOS", "GCP", "QINIU"}) {
    auto options = keys();
    if (type == std::string_view("QINIU")) std::erase_if(options, [](const auto& o) { return o.first == "region"; });
    const auto made = make(type, options);
    ASSERT_TRUE(made) << type << made.error().message();
    EXPECT_TRUE(sign(*made, upload())) << type;
    made->instance->retire();
    EXPECT_EQ(sign(*made, upload()).error().code(), errc::failed_precondition) << type;
  }
}

TEST_F(vendors_test, requests_for_the_public_agent_are_kept_small) {
  for (const auto* type : bucket_types) {
    auto s = upload(std::string(1000, '+'));  // three times as long when encoded
    EXPECT_TRUE(sign(*make(type, keys()), s)) << type;
    s.portless_host = true;
    EXPECT_EQ(sign(*make(type, keys()), s).error().code(), errc::invalid_argument) << type;
  }
}

TEST_F(vendors_test, a_grant_of_qiniu_is_a_form_around_the_files_bytes) {
  const auto made = make("QINIU", {{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}, {"bucket", "fleet"}});
  ASSERT_TRUE(made);
  EXPECT_THAT(made->warnings, Contains(HasSubstr("domain")));
  EXPECT_FALSE(made->instance->caps().sign_get);
  auto s = upload();
  s.fields = {{"Content-Type", "image/jpeg"}};
  const auto grant = *sign(*made, s);
  EXPECT_EQ(grant.method, "POST");
  EXPECT_EQ(grant.url.reveal(), "https://up-z0.qiniup.com/");
  ASSERT_EQ(grant.fields.size(), 1u);
  const auto type = grant.fields[0].value;
  ASSERT_THAT(type, StartsWith("multipart/form-data; boundary=evp-"));
  const auto boundary = "--" + type.substr(type.find('=') + 1);
  EXPECT_THAT(grant.body_prefix.reveal(), StartsWith(boundary + "\r\n"));
  EXPECT_THAT(grant.body_prefix.reveal(), HasSubstr("\r\n\r\ncam-1/a b.jpg\r\n"));
  EXPECT_THAT(grant.body_prefix.reveal(), testing::EndsWith("Content-Type: image/jpeg\r\n\r\n"));
  EXPECT_EQ(grant.body_suffix.reveal(), "\r\n" + boundary + "--\r\n");
  EXPECT_LE(grant.body_prefix.size(), 8192u);
  auto for_agent = s;
  for_agent.portless_host = true;
  EXPECT_EQ(sign(*made, for_agent).error().code(), errc::unsupported);
  s.op = operation::get;
  EXPECT_EQ(sign(*made, s).error().field(), "domain");
}

TEST_F(vendors_test, qiniu_signs_downloads_on_the_buckets_domain) {
  const auto made =
      make("QINIU", {{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}, {"domain", "https://files.example.com"}});
  auto s = upload();
  s.op = operation::get;
  EXPECT_THAT(sign(*made, s)->url.reveal(),
              StartsWith("https://files.example.com/cam-1/a%20b.jpg?e=1767323165&token=AK:"));
}

}  // namespace
}  // namespace evp::storage
