#include "auth/credentials/aws_sts.h"

#include <gmock/gmock.h>

#include "auth/credentials/test_transport.h"
#include "io/test_folder.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view good_answer =
    R"(<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>role/secret+</SecretAccessKey><SessionToken>tok==</SessionToken>
<Expiration>2026-11-22T19:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>)";
constexpr std::string_view web_token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";

struct aws_sts_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  test_transport net{[](const http::request&) { return answered(200, std::string(good_answer)); }};
  sts_endpoint at{"https://sts.eu-central-1.amazonaws.com", "eu-central-1", "the CA"};
  aws_role role{.arn = "arn:aws:iam::123456789012:role/fleet", .session = "openevp"};

  std::unique_ptr<aws_source> source() {
    return make_assume_role(net, clock, at, role, make_static_aws({"AKIA1", secret("base-secret"), {}}));
  }
  error refused(int status, std::string code) {
    net.answer = [=](const http::request&) {
      return answered(status,
                      "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>" + code +
                          "</Code><Message>user arn:aws:iam::1:user/x base-secret</Message></Error></ErrorResponse>");
    };
    return fetched(*source()).error();
  }
};

TEST_F(aws_sts_test, the_credentials_of_the_role_come_with_their_expiry) {
  const auto got = fetched(*source());
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.access_key_id, "ASIA1");
  EXPECT_EQ(got->value.secret_access_key.reveal(), "role/secret+");
  EXPECT_EQ(got->value.session_token.reveal(), "tok==");
  EXPECT_EQ(got->expires_at, *parse_rfc3339("2026-11-22T19:00:00Z"));
}

TEST_F(aws_sts_test, the_request_is_a_signed_form_with_what_the_role_demands) {
  role.external_id = "tenant 7";
  role.policy = s3_session_policy("fleet", "cam-1/");
  ASSERT_TRUE(fetched(*source()));
  const auto& r = net.last();
  EXPECT_EQ(r.method, "POST");
  EXPECT_EQ(r.url.reveal(), "https://sts.eu-central-1.amazonaws.com/");
  EXPECT_EQ(r.ca_pem, "the CA");
  EXPECT_GT(r.total_timeout.count(), 0);
  EXPECT_THAT(form_of(r), testing::UnorderedElementsAre(
                              testing::Pair("Action", "AssumeRole"), testing::Pair("Version", "2011-06-15"),
                              testing::Pair("RoleArn", role.arn), testing::Pair("RoleSessionName", "openevp"),
                              testing::Pair("DurationSeconds", "3600"), testing::Pair("ExternalId", "tenant 7"),
                              testing::Pair("Policy", role.policy)));
  EXPECT_THAT(body_of(r), Not(HasSubstr("+"))) << "Ceph RGW does not read '+' as a space";
  EXPECT_THAT(http::find(r.fields, "Authorization"),
              HasSubstr("Credential=AKIA1/20261122/eu-central-1/sts/aws4_request, SignedHeaders=content-type;host;"));
  EXPECT_THAT(body_of(r), Not(HasSubstr("base-secret")));
}

TEST_F(aws_sts_test, a_role_can_be_assumed_with_temporary_credentials) {
  const auto chained = make_assume_role(net, clock, at, role, source());
  ASSERT_TRUE(fetched(*chained));
  ASSERT_EQ(net.seen.size(), 2u);
  EXPECT_EQ(http::find(net.seen[0].fields, "X-Amz-Security-Token"), "");
  EXPECT_EQ(http::find(net.seen[1].fields, "X-Amz-Security-Token"), "tok==");
  EXPECT_THAT(http::find(net.seen[1].fields, "Authorization"), HasSubstr("Credential=ASIA1/"));
}

TEST_F(aws_sts_test, refusals_are_told_apart_from_outages) {
  EXPECT_EQ(refused(403, "AccessDenied").code(), errc::permission_denied);
  EXPECT_EQ(refused(403, "InvalidClientTokenId").code(), errc::unauthenticated);
  EXPECT_EQ(refused(403, "SignatureDoesNotMatch").code(), errc::unauthenticated);
  EXPECT_EQ(refused(400, "ExpiredTokenException").code(), errc::unauthenticated);
  EXPECT_EQ(refused(400, "MalformedPolicyDocument").code(), errc::permission_denied);
  EXPECT_EQ(refused(400, "Throttling").code(), errc::rate_limited);
  EXPECT_EQ(refused(400, "IDPCommunicationError").code(), errc::unavailable);
  EXPECT_EQ(refused(503, "ServiceUnavailable").code(), errc::unavailable);
  EXPECT_EQ(refused(301, "Moved").code(), errc::failed_precondition);
}

TEST_F(aws_sts_test, a_refusal_says_what_to_check_and_repeats_nothing_of_the_answer) {
  const auto e = refused(403, "AccessDenied");
  EXPECT_THAT(e.message(), HasSubstr("403 AccessDenied"));
  EXPECT_THAT(e.message(), HasSubstr("trust policy"));
  EXPECT_THAT(e.message(), Not(HasSubstr("base-secret")));
  EXPECT_THAT(refused(403, "<script>").message(), Not(HasSubstr("script")));
}

TEST_F(aws_sts_test, an_answer_that_holds_no_credentials_is_no_success) {
  for (const std::string body : {"", "{}", "<a/>", "<a><Credentials><AccessKeyId>x</AccessKeyId></Credentials></a>"}) {
    net.answer = [=](const http::request&) { return answered(200, body); };
    EXPECT_EQ(fetched(*source()).error().code(), errc::unavailable) << body;
  }
  net.answer = [](const http::request&) -> result<http::response> { return fail(errc::deadline_exceeded, "slow"); };
  EXPECT_EQ(fetched(*source()).error().code(), errc::deadline_exceeded);
}

TEST_F(aws_sts_test, a_web_identity_is_read_anew_for_each_fetch_and_sent_unsigned) {
  io::temporary_folder folder;
  const auto file = folder.path() / "token";
  ASSERT_TRUE(io::write_file_durably(file, std::string(web_token) + "\n"));
  const auto from = make_assume_role_with_web_identity(net, at, role, token_folders({folder.path()}), file);
  ASSERT_TRUE(fetched(*from));
  auto sent = form_of(net.last());
  EXPECT_EQ(sent["Action"], "AssumeRoleWithWebIdentity");
  EXPECT_EQ(sent["WebIdentityToken"], web_token);
  EXPECT_EQ(sent["RoleArn"], role.arn);
  EXPECT_EQ(http::find(net.last().fields, "Authorization"), "");
  ASSERT_TRUE(io::write_file_durably(file, "eyJhbGciOiJSUzI1NiJ9.bmV3.c2ln"));
  ASSERT_TRUE(fetched(*from));
  EXPECT_EQ(form_of(net.last())["WebIdentityToken"], "eyJhbGciOiJSUzI1NiJ9.bmV3.c2ln");
}

TEST(session_policies, are_compact_and_narrowed_to_the_prefix) {
  const auto policy = s3_session_policy("my-fleet", "cam-1/", "aws-cn");
  EXPECT_THAT(policy, HasSubstr(R"("Resource":"arn:aws-cn:s3:::my-fleet/cam-1/*")"));
  EXPECT_THAT(policy, Not(HasSubstr(" ")));
  EXPECT_LE(policy.size(), 2048u);
  EXPECT_THAT(policy, testing::Not(HasSubstr("Condition")));
  EXPECT_THAT(s3_session_policy("b", "", "aws", "192.0.2.0/24"),
              HasSubstr(R"("Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}})"));
  EXPECT_THAT(s3_session_policy("b", "a\"b/"), HasSubstr(R"(arn:aws:s3:::b/a\"b/*)"));
}

TEST(roles, are_checked_and_the_field_is_named) {
  const aws_role good{.arn = "arn:aws:iam::123456789012:role/a/fleet", .session = "openevp", .external_id = "x:1"};
  EXPECT_TRUE(check_role(good));
  for (const auto* arn : {"", "fleet", "arn:aws:iam::1:user/x-long-enough", "arn:aws:iam::123:role/a b"}) {
    auto bad = good;
    bad.arn = arn;
    EXPECT_EQ(check_role(bad).error().field(), "roleArn") << arn;
  }
  auto bad = good;
  bad.session = "a b";
  EXPECT_EQ(check_role(bad).error().field(), "roleSessionName");
  bad = good;
  bad.external_id = "x";
  EXPECT_EQ(check_role(bad).error().field(), "externalId");
}

}  // namespace
}  // namespace evp::auth
