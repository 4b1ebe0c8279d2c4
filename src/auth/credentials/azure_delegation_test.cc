#include "auth/credentials/azure_delegation.h"

#include <gmock/gmock.h>

#include "auth/credentials/test_source.h"
#include "auth/credentials/test_transport.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;

/// Gives "token 1", "token 2" ...
class counted_tokens final : public token_source {
 public:
  explicit counted_tokens(const io::clock& c) : clock_(c) {}
  io::task<result<expiring<secret>>> fetch() override {
    expiring<secret> out{secret("token-" + std::to_string(++count_)), clock_.now() + std::chrono::hours(1)};
    co_return out;
  }

 private:
  const io::clock& clock_;
  int count_ = 0;
};

struct azure_delegation_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  std::string good_token = "Bearer token-1";
  test_transport net{[this](const http::request& r) {
    if (r.url.reveal() != "https://acc.blob.core.windows.net/?restype=service&comp=userdelegationkey" ||
        r.method != "POST" || http::find(r.fields, "x-ms-version") != "2022-11-02")
      return answered(400);
    if (http::find(r.fields, "Authorization") != good_token)
      return answered(401, "", {{"x-ms-error-code", "InvalidAuthenticationInfo"}});
    return answered(200, R"(<?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>oid</SignedOid>
      <SignedTid>tid</SignedTid><SignedStart>2026-11-22T17:55:00Z</SignedStart><SignedExpiry>2026-11-23T18:00:00Z</SignedExpiry>
      <SignedService>b</SignedService><SignedVersion>2022-11-02</SignedVersion><Value>a2V5</Value></UserDelegationKey>)");
  }};
  std::shared_ptr<credential_cache<secret>> tokens =
      std::make_shared<credential_cache<secret>>(clock, std::make_unique<counted_tokens>(clock));
  std::unique_ptr<delegation_source> source =
      make_azure_delegation(net, clock, "https://acc.blob.core.windows.net", tokens, "");
};

TEST_F(azure_delegation_test, a_key_comes_for_a_day_with_all_that_a_signature_names) {
  const auto got = fetched(*source);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.object_id, "oid");
  EXPECT_EQ(got->value.tenant_id, "tid");
  EXPECT_EQ(got->value.starts, "2026-11-22T17:55:00Z");
  EXPECT_EQ(got->value.value.reveal(), "a2V5");
  EXPECT_EQ(got->expires_at, *parse_rfc3339("2026-11-23T18:00:00Z"));
  EXPECT_THAT(body_of(net.last()),
              HasSubstr("<Start>2026-11-22T17:55:00Z</Start><Expiry>2026-11-23T18:00:00Z</Expiry>"));
}

TEST_F(azure_delegation_test, a_token_that_azure_refuses_is_fetched_anew_for_the_next_attempt) {
  good_token = "Bearer token-2";
  clock.advance(seconds(1));
  EXPECT_EQ(fetched(*source).error().code(), errc::unauthenticated);
  clock.advance(seconds(10));
  EXPECT_TRUE(fetched(*source));
}

TEST_F(azure_delegation_test, a_missing_role_is_named) {
  net.answer = [](const http::request&) {
    return answered(403, "", {{"x-ms-error-code", "AuthorizationPermissionMismatch"}});
  };
  const auto r = fetched(*source);
  EXPECT_EQ(r.error().code(), errc::permission_denied);
  EXPECT_THAT(r.error().message(), HasSubstr("AuthorizationPermissionMismatch"));
  EXPECT_THAT(r.error().message(), HasSubstr("Storage Blob Data Contributor"));
}

TEST_F(azure_delegation_test, an_answer_without_a_key_is_no_success) {
  for (const std::string body : {"", "<a/>", "<UserDelegationKey><Value>a2V5</Value></UserDelegationKey>"}) {
    net.answer = [=](const http::request&) { return answered(200, body); };
    EXPECT_EQ(fetched(*source).error().code(), errc::unavailable) << body;
  }
}

}  // namespace
}  // namespace evp::auth
