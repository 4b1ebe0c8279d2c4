// The lever of AWS: what is written into a bucket's policy, and by whom.
#include "storage/drivers/aws_bucket_policy.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "auth/credentials/test_transport.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/driver.h"

namespace evp::storage {
namespace {

namespace json = boost::json;
using auth::answered;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view role = "arn:aws:iam::123456789012:role/fleet";
const timestamp noon = *parse_rfc3339("2026-11-23T12:00:00Z");

json::array statements_of(const std::string& policy) { return json::parse(policy).at("Statement").as_array(); }

TEST(aws_bucket_policy_test, a_bucket_without_a_policy_gets_one_that_denies_the_roles_older_sessions) {
  const auto all = statements_of(*with_older_sessions_denied("", role, "fleet", noon));
  ASSERT_EQ(all.size(), 1U);
  const auto& s = all.at(0);
  EXPECT_EQ(s.at("Effect").as_string(), "Deny");
  EXPECT_EQ(s.at("Action").as_string(), "s3:*");
  EXPECT_EQ(s.at("Principal").at("AWS").as_string(), role);
  EXPECT_EQ(json::serialize(s.at("Resource")), R"(["arn:aws:s3:::fleet","arn:aws:s3:::fleet/*"])");
  EXPECT_EQ(s.at("Condition").at("DateLessThan").at("aws:TokenIssueTime").as_string(), "2026-11-23T12:00:00Z");
}

TEST(aws_bucket_policy_test, a_later_call_moves_the_time_and_another_role_gets_its_own) {
  const auto once = *with_older_sessions_denied("", role, "fleet", noon);
  const auto twice = *with_older_sessions_denied(once, role, "fleet", noon + std::chrono::hours(1));
  ASSERT_EQ(statements_of(twice).size(), 1U);
  EXPECT_THAT(twice, testing::AllOf(HasSubstr("13:00:00Z"), Not(HasSubstr("12:00:00Z"))));
  EXPECT_EQ(statements_of(*with_older_sessions_denied(twice, "arn:aws-cn:iam::1:role/x", "fleet", noon)).size(), 2U);
}

TEST(aws_bucket_policy_test, what_the_policy_says_beside_stays) {
  const std::string theirs = R"({"Version":"2008-10-17","Id":"x","Statement":{"Sid":"Theirs","Effect":"Allow"}})";
  const auto all = *with_older_sessions_denied(theirs, role, "fleet", noon);
  EXPECT_THAT(all, testing::AllOf(HasSubstr("2008-10-17"), HasSubstr(R"("Id":"x")"), HasSubstr("Theirs")));
  EXPECT_EQ(statements_of(all).size(), 2U);
}

TEST(aws_bucket_policy_test, what_is_no_policy_is_left_alone) {
  for (const auto* bad : {"<xml/>", "[]", R"({"Version":"2012-10-17"})", R"({"Statement":"x"})"})
    EXPECT_EQ(with_older_sessions_denied(bad, role, "fleet", noon).error().code(), errc::data_corrupt) << bad;
  const auto large = R"({"Statement":[{"Sid":")" + std::string(21'000, 'x') + "\"}]}";
  EXPECT_EQ(with_older_sessions_denied(large, role, "fleet", noon).error().code(), errc::too_large);
}

/// S3 and STS in one: a bucket whose policy is obeyed as far as this needs it.
struct aws_lever_test : testing::Test {
  io::manual_clock clock{noon};
  std::string policy;
  int sessions = 0;
  bool may_manage = true;
  std::vector<std::string> session_policies;
  auth::test_transport net{[this](const http::request& r) { return answer(r); }};

  http::response answer(const http::request& r) {
    const auto& url = r.url.reveal();
    if (url.starts_with("https://sts.")) {
      const auto form = auth::form_of(r);
      session_policies.push_back(form.at("Policy"));
      const auto n = std::to_string(++sessions);
      return answered(200, "<R><Credentials><AccessKeyId>ASIA" + n +
                               "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t" + n +
                               "</SessionToken><Expiration>2026-11-23T13:00:00Z</Expiration></Credentials></R>");
    }
    EXPECT_THAT(url, HasSubstr("?policy"));
    if (!may_manage) return answered(403, "<Error><Code>AccessDenied</Code></Error>");
    if (r.method == "GET" && policy.empty())
      return answered(404, "<Error><Code>NoSuchBucketPolicy</Code></Error>",
                      {{"Date", "Mon, 23 Nov 2026 12:00:07 GMT"}});
    if (r.method == "GET") return answered(200, policy, {{"Date", "Mon, 23 Nov 2026 12:00:07 GMT"}});
    policy = auth::body_of(r);
    EXPECT_EQ(http::find(r.fields, "Content-MD5"), to_base64(md5(policy)));
    return answered(204);
  }
  result<std::unique_ptr<driver>> make(std::map<std::string, std::string> more) {
    option_values values;
    more.insert({{"region", "eu-central-1"}, {"bucket", "fleet"}, {"accessKeyId", "AKIA1"}, {"secretAccessKey", "k"}});
    for (const auto& [k, v] : more) values.set(k, secret(v), false);
    TRY(auto made, (*find_driver_type("AWS"))->make(values, driver_context{net, clock}));
    return std::move(made.instance);
  }
  template <class T>
  T run(io::task<T> t) {
    io::asio::io_context ctx;
    return http::run(ctx, std::move(t));
  }
};

TEST_F(aws_lever_test, it_writes_by_a_session_that_may_do_nothing_else_and_by_the_storages_clock) {
  const auto d = *make({{"roleArn", std::string(role)}, {"denyOlderSessions", "true"}});
  ASSERT_TRUE(d->lever());
  EXPECT_THAT(d->lever()->reach, HasSubstr(role));
  const auto done = run(d->end_grants());
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_THAT(policy, HasSubstr("2026-11-23T12:00:07Z"));
  ASSERT_EQ(session_policies.size(), 1U);
  EXPECT_THAT(session_policies[0], testing::AllOf(HasSubstr("s3:PutBucketPolicy"), Not(HasSubstr("s3:PutObject"))));
}

TEST_F(aws_lever_test, a_role_that_may_not_is_told_of) {
  const auto d = *make({{"roleArn", std::string(role)}, {"denyOlderSessions", "true"}});
  may_manage = false;
  const auto done = run(d->end_grants());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), errc::permission_denied);
  EXPECT_THAT(done.error().message(), HasSubstr("read the bucket's policy"));
}

TEST_F(aws_lever_test, it_is_refused_where_it_would_do_nothing) {
  EXPECT_EQ(make({{"denyOlderSessions", "true"}}).error().field(), "roleArn");
  const auto ceph = make({{"endpoint", "https://s3.example:9000"},
                          {"provider", "ceph"},
                          {"roleArn", std::string(role)},
                          {"denyOlderSessions", "true"}});
  EXPECT_EQ(ceph.error().field(), "denyOlderSessions");
  const auto none = *make({{"roleArn", std::string(role)}});
  EXPECT_FALSE(none->lever());
  EXPECT_EQ(run(none->end_grants()).error().code(), errc::unsupported);
}

}  // namespace
}  // namespace evp::storage
