#include "auth/credentials/metadata.h"

#include <gmock/gmock.h>

#include "auth/credentials/test_transport.h"
#include "io/test_folder.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;

/// The metadata services as their documentation has them: anything else than what it asks for is refused.
struct metadata_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  std::string role_answer =
      R"({"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIA1","SecretAccessKey":"sec","Token":"tok",)"
      R"("Expiration":"2026-11-22T23:59:59Z"})";
  test_transport net{[this](const http::request& r) { return answer(r); }};
  metadata_transport metadata{net};

  http::response answer(const http::request& r) const {
    const auto& url = r.url.reveal();
    const auto field = [&](std::string_view name) { return http::find(r.fields, name); };
    if (url == "http://169.254.169.254/latest/api/token")
      return r.method == "PUT" && !field("X-aws-ec2-metadata-token-ttl-seconds").empty() ? answered(200, "session-1")
                                                                                         : answered(403);
    if (url.starts_with("http://169.254.169.254/latest/meta-data/iam/security-credentials/")) {
      if (field("X-aws-ec2-metadata-token") != "session-1" || r.method != "GET") return answered(401);
      return url.ends_with("/")             ? answered(200, "fleet-role")
             : url.ends_with("/fleet-role") ? answered(200, role_answer)
                                            : answered(404);
    }
    if (url == "http://169.254.170.2/v2/credentials/abc") return answered(200, role_answer);
    if (url == "http://169.254.170.23/v1/credentials")
      return field("Authorization") == "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln" ? answered(200, role_answer)
                                                                                   : answered(401);
    if (url ==
        "http://169.254.169.254/metadata/identity/oauth2/"
        "token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=abc")
      return field("Metadata") == "true"
                 ? answered(200, R"({"access_token":"azure-token","expires_in":"3599","token_type":"Bearer"})")
                 : answered(400);
    if (url.starts_with("http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/")) {
      if (field("Metadata-Flavor") != "Google") return answered(403);
      return url.ends_with("/token")
                 ? answered(200, R"({"access_token":"g-token","expires_in":3599,"token_type":"Bearer"})")
                 : answered(200, "fleet@project.iam.gserviceaccount.com");
    }
    return answered(404);
  }
};

TEST_F(metadata_test, the_door_opens_to_the_built_in_addresses_only) {
  io::asio::io_context ctx;
  for (const std::string url :
       {"http://127.0.0.1/", "https://169.254.169.254/", "http://169.254.169.254", "http://169.254.169.254:80/",
        "http://169.254.169.254.evil.example/", "http://169.254.169.254@evil.example/",
        "http://2852039166/latest/api/token", "http://0xa9fea9fe/", "http://[::ffff:169.254.169.254]/",
        "http://169.254.169.253/", "http://169.254.170.2:8080/x", "http://metadata.google.internal/"}) {
    auto r = issuer_request("GET", url);
    EXPECT_EQ(http::run(ctx, metadata.send(r)).error().code(), errc::permission_denied) << url;
  }
  EXPECT_TRUE(net.seen.empty());
}

TEST_F(metadata_test, an_instance_role_is_had_by_a_session_of_imdsv2) {
  const auto got = fetched(*make_aws_instance(metadata));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.access_key_id, "ASIA1");
  EXPECT_EQ(got->value.session_token.reveal(), "tok");
  EXPECT_EQ(got->expires_at, *parse_rfc3339("2026-11-22T23:59:59Z"));
  EXPECT_EQ(net.seen.size(), 3u);
}

TEST_F(metadata_test, an_instance_without_a_role_says_so) {
  net.answer = [&](const http::request& r) {
    return r.url.reveal().ends_with("security-credentials/") ? answered(404) : answer(r);
  };
  const auto r = fetched(*make_aws_instance(metadata));
  EXPECT_EQ(r.error().code(), errc::not_found);
  EXPECT_THAT(r.error().message(), HasSubstr("instance profile"));
}

TEST_F(metadata_test, what_an_impostor_answers_cannot_lead_the_next_request_elsewhere) {
  for (const std::string name : {"", "../../user-data", "a/b", "a b", "a?x=", "..", "a\r\nX: y"}) {
    net.answer = [&, name](const http::request& r) {
      return r.url.reveal().ends_with("security-credentials/") ? answered(200, name) : answer(r);
    };
    net.seen.clear();
    EXPECT_EQ(fetched(*make_aws_instance(metadata)).error().code(), errc::unavailable) << name;
    EXPECT_EQ(net.seen.size(), 2u) << name;
  }
  net.answer = [](const http::request&) { return answered(200, "session\r\nX-Evil: 1"); };
  EXPECT_EQ(fetched(*make_aws_instance(metadata)).error().code(), errc::unavailable);
}

TEST_F(metadata_test, a_container_role_follows_the_environment) {
  EXPECT_TRUE(fetched(*make_aws_container(metadata, {.relative_uri = "/v2/credentials/abc"}, token_folders())));
  EXPECT_EQ(fetched(*make_aws_container(metadata, {}, token_folders())).error().code(), errc::failed_precondition);
}

TEST_F(metadata_test, a_pod_identity_sends_its_token_and_only_to_the_built_in_address) {
  io::temporary_folder folder;
  ASSERT_TRUE(io::write_file_durably(folder.path() / "t", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"));
  const token_folders folders({folder.path()});
  EXPECT_TRUE(fetched(
      *make_aws_container(metadata, {"", "http://169.254.170.23/v1/credentials", folder.path() / "t"}, folders)));
  net.seen.clear();
  const auto elsewhere =
      fetched(*make_aws_container(metadata, {"", "http://evil.example/v1/credentials", folder.path() / "t"}, folders));
  EXPECT_EQ(elsewhere.error().code(), errc::permission_denied);
  EXPECT_TRUE(net.seen.empty());
}

TEST_F(metadata_test, a_managed_identity_gives_a_token_with_its_life) {
  const auto got = fetched(*make_azure_managed_identity(metadata, clock, "https://storage.azure.com/", "abc"));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.reveal(), "azure-token");
  EXPECT_EQ(got->expires_at, clock.now() + seconds(3599));
}

TEST_F(metadata_test, a_google_machine_gives_a_token_and_its_account) {
  EXPECT_EQ(fetched(*make_gcp_machine(metadata, clock))->value.reveal(), "g-token");
  io::asio::io_context ctx;
  EXPECT_EQ(http::run(ctx, gcp_machine_account(metadata)).value(), "fleet@project.iam.gserviceaccount.com");
}

}  // namespace
}  // namespace evp::auth
