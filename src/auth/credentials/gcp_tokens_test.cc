#include "auth/credentials/gcp_tokens.h"

#include <gmock/gmock.h>

#include "auth/credentials/test_jwt.h"
#include "auth/credentials/test_transport.h"
#include "base/test_rsa_key.h"
#include "io/test_folder.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;
namespace json = boost::json;

constexpr std::string_view web_token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";

class fixed_token final : public token_source {
 public:
  explicit fixed_token(timestamp expires) : expires_(expires) {}
  io::task<result<expiring<secret>>> fetch() override {
    expiring<secret> out{secret("wide-token"), expires_};
    co_return out;
  }

 private:
  timestamp expires_;
};

/// Google's endpoints, as strict as their documentation.
struct gcp_tokens_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  inline static const test_rsa_key key = test_rsa_key::make();
  test_transport net{[this](const http::request& r) { return answer(r); }};
  json::object boundary;  // of the last downscoping

  static json::object key_file() {
    return {{"type", "service_account"},
            {"client_email", "fleet@p.iam.gserviceaccount.com"},
            {"private_key_id", "kid-1"},
            {"private_key", key.private_pem},
            {"token_uri", "https://oauth2.googleapis.com/token"}};
  }
  static result<gcp_service_account> account() {
    return gcp_service_account::parse(secret(json::serialize(key_file())));
  }
  std::shared_ptr<credential_cache<secret>> wide() {
    return std::make_shared<credential_cache<secret>>(
        clock, std::make_unique<fixed_token>(clock.now() + std::chrono::minutes(30)));
  }

  http::response answer(const http::request& r) {
    const auto& url = r.url.reveal();
    if (url == "https://oauth2.googleapis.com/token") return assertion(form_of(r));
    if (url == "https://sts.googleapis.com/v1/token") return exchange(form_of(r));
    const std::string account =
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/fleet@p.iam.gserviceaccount.com";
    const auto bearer = http::find(r.fields, "Authorization");
    if (url == account + ":generateAccessToken")
      return bearer == "Bearer federated"
                 ? answered(200, R"({"accessToken":"impersonated","expireTime":"2026-11-22T19:00:00Z"})")
                 : answered(403);
    if (url == account + ":signBlob") {
      if (bearer != "Bearer wide-token") return answered(401);
      const auto payload = json::parse(body_of(r)).at("payload").as_string();
      const auto signature =
          rsa_private_key::parse(secret(key.private_pem))->sign_sha256(*from_base64({payload.data(), payload.size()}));
      return answered(200, json::serialize(json::object{{"keyId", "k"}, {"signedBlob", to_base64(signature)}}));
    }
    return answered(404);
  }
  http::response assertion(std::map<std::string, std::string> f) {
    const auto jwt = open_jwt(f["assertion"], key.public_pem);
    const auto now = clock.now().time_since_epoch().count() / 1000;
    const bool good = jwt && f["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer" &&
                      jwt->claims.at("iss") == "fleet@p.iam.gserviceaccount.com" &&
                      jwt->claims.at("aud") == "https://oauth2.googleapis.com/token" &&
                      jwt->header.at("kid") == "kid-1" && jwt->claims.at("iat").as_int64() <= now &&
                      jwt->claims.at("exp").as_int64() <= now + 3600 && jwt->claims.at("exp").as_int64() > now;
    return good ? answered(200, R"({"access_token":"ya29","expires_in":3599})")
                : answered(400, R"({"error":"invalid_grant"})");
  }
  http::response exchange(std::map<std::string, std::string> f) {
    if (f["grant_type"] != "urn:ietf:params:oauth:grant-type:token-exchange")
      return answered(400, R"({"error":"invalid_request"})");
    if (f["subject_token"] == web_token && f["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt" &&
        f["audience"] == "//iam.googleapis.com/x")
      return answered(200, R"({"access_token":"federated","expires_in":3600})");
    if (f["subject_token"] == "wide-token" && f.contains("options")) {
      boundary = json::parse(f["options"]).at("accessBoundary").at("accessBoundaryRules").at(0).as_object();
      return answered(200, R"({"access_token":"narrow"})");
    }
    return answered(400, R"({"error":"invalid_grant"})");
  }
};

TEST_F(gcp_tokens_test, a_service_account_signs_an_assertion_and_gets_a_token) {
  const auto got = fetched(*make_gcp_service_account(net, clock, *account()));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.reveal(), "ya29");
  EXPECT_EQ(got->expires_at, clock.now() + seconds(3599));
}

TEST_F(gcp_tokens_test, a_key_that_google_does_not_know_is_unauthenticated) {
  auto file = key_file();
  file["private_key"] = test_rsa_key::make().private_pem;
  const auto other = gcp_service_account::parse(secret(json::serialize(file)));
  EXPECT_EQ(fetched(*make_gcp_service_account(net, clock, *other)).error().code(), errc::unauthenticated);
}

TEST_F(gcp_tokens_test, a_key_file_is_read_strictly_and_its_errors_hold_nothing_of_it) {
  for (const auto* field : {"type", "client_email", "private_key"}) {
    auto file = key_file();
    file.erase(field);
    const auto r = gcp_service_account::parse(secret(json::serialize(file)));
    ASSERT_FALSE(r) << field;
    EXPECT_EQ(r.error().code(), errc::invalid_argument);
    EXPECT_THAT(r.error().message(), testing::Not(HasSubstr("PRIVATE")));
  }
  EXPECT_FALSE(gcp_service_account::parse(secret("not json")));
}

TEST_F(gcp_tokens_test, a_federated_token_is_exchanged_for_the_platforms) {
  io::temporary_folder folder;
  ASSERT_TRUE(io::write_file_durably(folder.path() / "t", web_token));
  gcp_federation how{.audience = "//iam.googleapis.com/x", .token_file = folder.path() / "t"};
  EXPECT_EQ(fetched(*make_gcp_federation(net, clock, how, token_folders({folder.path()})))->value.reveal(),
            "federated");
  how.service_account = "fleet@p.iam.gserviceaccount.com";
  const auto got = fetched(*make_gcp_federation(net, clock, how, token_folders({folder.path()})));
  EXPECT_EQ(got->value.reveal(), "impersonated");
  EXPECT_EQ(got->expires_at, *parse_rfc3339("2026-11-22T19:00:00Z"));
}

TEST_F(gcp_tokens_test, a_downscoped_token_is_bound_to_bucket_prefix_and_role_and_never_outlives_the_wide_one) {
  const auto got = fetched(*make_gcp_downscoped(net, clock, wide(), {.bucket = "fleet", .prefix = "cam'1/"}));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.reveal(), "narrow");
  EXPECT_EQ(got->expires_at, clock.now() + std::chrono::minutes(30));
  EXPECT_EQ(boundary.at("availableResource"), "//storage.googleapis.com/projects/_/buckets/fleet");
  EXPECT_EQ(boundary.at("availablePermissions").at(0), "inRole:roles/storage.objectCreator");
  EXPECT_EQ(boundary.at("availabilityCondition").at("expression"),
            R"(resource.name.startsWith('projects/_/buckets/fleet/objects/cam\'1/'))");
}

TEST_F(gcp_tokens_test, iam_signs_what_a_url_needs) {
  io::asio::io_context ctx;
  const auto signature =
      http::run(ctx, gcp_sign_blob(net, wide(), "fleet@p.iam.gserviceaccount.com", "GOOG4-RSA-SHA256\n..."));
  ASSERT_TRUE(signature) << signature.error().message();
  EXPECT_TRUE(*rsa_verify_sha256(key.public_pem, "GOOG4-RSA-SHA256\n...", *signature));
  EXPECT_EQ(http::run(ctx, gcp_sign_blob(net, wide(), "a/../b", "x")).error().code(), errc::invalid_argument);
}

}  // namespace
}  // namespace evp::auth
