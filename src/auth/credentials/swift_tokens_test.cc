#include "auth/credentials/swift_tokens.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "auth/credentials/test_transport.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace json = boost::json;

constexpr std::string_view catalog = R"({"token":{"expires_at":"2026-11-22T19:00:00.000000Z","catalog":[
 {"type":"identity","endpoints":[{"interface":"public","region_id":"R1","url":"https://k.example/v3"}]},
 {"type":"object-store","endpoints":[
  {"interface":"admin","region_id":"R1","url":"https://admin.example/v1"},
  {"interface":"public","region_id":"R1","url":"https://r1.example/v1/AUTH_p/"},
  {"interface":"public","region_id":"R2","url":"https://r2.example/v1/AUTH_p"}]}]}})";

/// Keystone as the API reference has it: it compares the whole request.
struct swift_tokens_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  std::string expected;  // JSON
  test_transport net{[this](const http::request& r) {
    if (r.url.reveal() != "https://k.example/v3/auth/tokens" || r.method != "POST" ||
        http::find(r.fields, "Content-Type") != "application/json")
      return answered(404);
    if (json::parse(body_of(r)) != json::parse(expected)) return answered(401);
    return answered(201, std::string(catalog), {{"X-Subject-Token", "gAAAAAB"}});
  }};
  keystone_login login{.url = "https://k.example/v3", .user = "evp", .password = secret("pa\"ss"), .project = "fleet"};

  void SetUp() override {
    expected = R"({"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"evp",
      "domain":{"name":"Default"},"password":"pa\"ss"}}},
      "scope":{"project":{"name":"fleet","domain":{"name":"Default"}}}}})";
  }
};

TEST_F(swift_tokens_test, keystone_gives_a_token_its_expiry_and_the_object_store_for_a_password) {
  const auto got = fetched(*make_keystone(net, login));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.token.reveal(), "gAAAAAB");
  EXPECT_EQ(got->value.storage_url, "https://r1.example/v1/AUTH_p");
  EXPECT_EQ(got->expires_at, *parse_rfc3339("2026-11-22T19:00:00Z"));
}

TEST_F(swift_tokens_test, keystone_takes_an_application_credential_without_a_scope) {
  expected = R"({"auth":{"identity":{"methods":["application_credential"],
      "application_credential":{"id":"abc","secret":"s3cret"}}}})";
  EXPECT_TRUE(fetched(*make_keystone(
      net, {.url = login.url, .application_credential_id = "abc", .application_credential_secret = secret("s3cret")})));
}

TEST_F(swift_tokens_test, the_region_chooses_among_the_object_stores) {
  login.region = "R2";
  EXPECT_EQ(fetched(*make_keystone(net, login))->value.storage_url, "https://r2.example/v1/AUTH_p");
  login.region = "R3";
  const auto r = fetched(*make_keystone(net, login));
  EXPECT_EQ(r.error().code(), errc::not_found);
  EXPECT_THAT(r.error().message(), HasSubstr("region"));
}

TEST_F(swift_tokens_test, a_wrong_password_is_unauthenticated_and_never_repeated) {
  login.password = secret("wrong-pass");
  const auto r = fetched(*make_keystone(net, login));
  EXPECT_EQ(r.error().code(), errc::unauthenticated);
  EXPECT_THAT(r.error().message(), Not(HasSubstr("wrong-pass")));
}

TEST_F(swift_tokens_test, the_older_login_gives_token_storage_url_and_life) {
  net.answer = [](const http::request& r) {
    const bool known =
        http::find(r.fields, "X-Auth-User") == "test:tester" && http::find(r.fields, "X-Auth-Key") == "testing";
    return known ? answered(200, "",
                            {{"X-Auth-Token", "AUTH_tk1"},
                             {"X-Storage-Url", "http://s.example/v1/AUTH_test"},
                             {"X-Auth-Token-Expires", "86400"}})
                 : answered(401);
  };
  swift_v1_login v1{.url = "http://s.example/auth/v1.0", .user = "test:tester", .key = secret("testing")};
  const auto got = fetched(*make_swift_v1(net, clock, v1));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.token.reveal(), "AUTH_tk1");
  EXPECT_EQ(got->value.storage_url, "http://s.example/v1/AUTH_test");
  EXPECT_EQ(got->expires_at, clock.now() + seconds(86400));
  v1.key = secret("other");
  EXPECT_EQ(fetched(*make_swift_v1(net, clock, v1)).error().code(), errc::unauthenticated);
}

TEST_F(swift_tokens_test, a_token_that_would_break_a_header_is_refused) {
  net.answer = [](const http::request&) {
    return answered(201, std::string(catalog), {{"X-Subject-Token", "a\r\nX-Evil: 1"}});
  };
  EXPECT_EQ(fetched(*make_keystone(net, login)).error().code(), errc::unavailable);
}

}  // namespace
}  // namespace evp::auth
