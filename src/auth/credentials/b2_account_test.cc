#include "auth/credentials/b2_account.h"

#include <gmock/gmock.h>

#include "auth/credentials/test_transport.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The example of the vendor's page, shortened.
constexpr const char* answer =
    R"({"accountId":"12f634bf3cbz","apiInfo":{"storageApi":{"absoluteMinimumPartSize":5000000,)"
    R"("apiUrl":"https://api123.backblazeb2.com","bucketId":"b-1","bucketName":"fleet","capabilities":["writeFiles"],)"
    R"("downloadUrl":"https://f123.backblazeb2.com","infoType":"storageApi","namePrefix":"cam/"}},)"
    R"("applicationKeyExpirationTimestamp":null,"authorizationToken":"4_0022623512fc8f80000000001_token"})";

struct b2_account_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  std::string body = answer;
  int status = 200;
  test_transport net{[this](const http::request&) { return answered(status, body); }};
  std::unique_ptr<b2_source> source =
      make_b2_login(net, clock, {"https://api.backblazeb2.com", "0014keyid", secret("K001key"), ""});

  void replace(std::string_view from, std::string_view to) { body.replace(body.find(from), from.size(), to); }
};

TEST_F(b2_account_test, a_key_becomes_a_token_and_says_what_it_may_reach) {
  const auto got = fetched(*source);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.token.reveal(), "4_0022623512fc8f80000000001_token");
  EXPECT_EQ(got->value.account_id, "12f634bf3cbz");
  EXPECT_EQ(got->value.api_url, "https://api123.backblazeb2.com");
  EXPECT_EQ(got->value.download_url, "https://f123.backblazeb2.com");
  EXPECT_EQ(got->value.bucket_id, "b-1");
  EXPECT_EQ(got->value.name_prefix, "cam/");
  EXPECT_EQ(got->expires_at, clock.now() + std::chrono::hours(24));
  EXPECT_EQ(net.last().url.reveal(), "https://api.backblazeb2.com/b2api/v3/b2_authorize_account");
  EXPECT_EQ(http::find(net.last().fields, "Authorization"), "Basic " + to_base64("0014keyid:K001key"));
}

TEST_F(b2_account_test, a_token_dies_with_its_key) {
  const auto dies = clock.now() + std::chrono::hours(2);
  replace("Timestamp\":null", "Timestamp\":" + std::to_string(dies.time_since_epoch().count()));
  EXPECT_EQ(fetched(*source)->expires_at, dies);
}

TEST_F(b2_account_test, a_wrong_key_is_unauthenticated_and_the_error_holds_nothing_of_it) {
  status = 401;
  body = R"({"code":"bad_auth_token","message":"K001key","status":401})";
  const auto got = fetched(*source);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), errc::unauthenticated);
  EXPECT_THAT(got.error().message(), HasSubstr("applicationKey"));
  EXPECT_THAT(got.error().message(), Not(HasSubstr("K001key")));
}

TEST_F(b2_account_test, an_answer_that_lacks_something_is_no_account) {
  for (const auto* field : {"authorizationToken", "accountId", "apiUrl", "downloadUrl"}) {
    body = answer;
    replace(field, "other");
    EXPECT_EQ(fetched(*source).error().code(), errc::unavailable) << field;
  }
  body = "<html>";
  EXPECT_EQ(fetched(*source).error().code(), errc::unavailable);
}

}  // namespace
}  // namespace evp::auth
