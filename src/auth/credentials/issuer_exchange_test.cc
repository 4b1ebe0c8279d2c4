#include "auth/credentials/issuer_exchange.h"

#include <gmock/gmock.h>

#include "auth/credentials/test_transport.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

struct issuer_exchange_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  test_transport net;
  result<expiring<secret>> ask() {
    io::asio::io_context ctx;
    return http::run(ctx, fetch_access_token(net, clock, form_request("https://i.example/t", {{"a b", "c+d&e"}}),
                                             "the issuer", "check clientSecret"));
  }
  result<expiring<secret>> when(int status, std::string body, http::headers fields = {}) {
    net.answer = [=](const http::request&) { return answered(status, body, fields); };
    return ask();
  }
};

TEST_F(issuer_exchange_test, a_form_is_percent_encoded_and_bounded_in_time_and_size) {
  ASSERT_TRUE(when(200, R"({"access_token":"t","expires_in":60})"));
  EXPECT_EQ(body_of(net.last()), "a%20b=c%2Bd%26e");
  EXPECT_LE(net.last().max_response_bytes, 1u << 20);
  EXPECT_GT(net.last().total_timeout.count(), 0);
}

TEST_F(issuer_exchange_test, a_token_lives_as_long_as_the_issuer_says) {
  const auto got = when(200, R"({"access_token":"t","expires_in":"3600","token_type":"Bearer"})");
  EXPECT_EQ(got->value.reveal(), "t");
  EXPECT_EQ(got->expires_at, clock.now() + seconds(3600));
}

TEST_F(issuer_exchange_test, answers_that_are_none_are_outages) {
  for (const std::string body :
       {"", "<html>sign in</html>", "[]", "{}", R"({"access_token":"t"})", R"({"access_token":"","expires_in":60})",
        R"({"access_token":5,"expires_in":60})", R"({"access_token":"t","expires_in":0})",
        R"({"access_token":"t","expires_in":-5})", R"({"access_token":"t","expires_in":99999999999})",
        R"({"access_token":"t","expires_in":"soon"})"})
    EXPECT_EQ(when(200, body).error().code(), errc::unavailable) << body;
  EXPECT_EQ(when(200, std::string(100'000, '[')).error().code(), errc::unavailable);
}

TEST_F(issuer_exchange_test, refusals_are_told_apart_from_outages) {
  EXPECT_EQ(when(401, R"({"error":"invalid_client"})").error().code(), errc::unauthenticated);
  EXPECT_EQ(when(400, R"({"error":"invalid_grant"})").error().code(), errc::unauthenticated);
  EXPECT_EQ(when(400, R"({"error":"unauthorized_client"})").error().code(), errc::permission_denied);
  EXPECT_EQ(when(400, R"({"error":"invalid_scope"})").error().code(), errc::permission_denied);
  EXPECT_EQ(when(403, "").error().code(), errc::permission_denied);
  EXPECT_EQ(when(400, R"({"error":"temporarily_unavailable"})").error().code(), errc::unavailable);
  EXPECT_EQ(when(500, "").error().code(), errc::unavailable);
  EXPECT_EQ(when(429, "").error().code(), errc::rate_limited);
  EXPECT_EQ(when(302, "", {{"Location", "http://169.254.169.254/"}}).error().code(), errc::failed_precondition);
}

TEST_F(issuer_exchange_test, a_refusal_names_the_number_that_people_search_for_and_nothing_of_the_description) {
  const auto e =
      when(401, R"({"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret 's3cret'."})");
  EXPECT_THAT(e.error().message(), HasSubstr("401 invalid_client AADSTS7000215: check clientSecret"));
  EXPECT_THAT(e.error().message(), Not(HasSubstr("s3cret")));
  EXPECT_THAT(when(401, R"({"error":"<b>x</b>"})").error().message(), Not(HasSubstr("<b>")));
}

TEST_F(issuer_exchange_test, retry_after_is_passed_on) {
  EXPECT_EQ(when(429, "", {{"Retry-After", "17"}}).error().retry_after(), seconds(17));
  EXPECT_EQ(when(429, "", {{"Retry-After", "soon"}}).error().retry_after(), std::nullopt);
}

}  // namespace
}  // namespace evp::auth
