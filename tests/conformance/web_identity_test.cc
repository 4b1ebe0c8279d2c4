// A workload's identity tokens at Ceph's token service, which checks them against a real issuer's keys: those that are
// refused, and how the service's health reads then.
#include <filesystem>

#include "conformance.h"
#include "io/files.h"

namespace evp {
namespace {

using testing::HasSubstr;
using testing::Not;

struct web_identity_test : conformance {
  static std::string token(const std::string& kind) { return servers::value("RGW_TOKENS") + "/token" + kind; }
  result<storage::signed_request> sign_with(storage::driver& d) {
    storage::sign_spec s;
    s.object = "identity/a.jpg";
    return run(d.sign(std::move(s)));
  }
};
INSTANTIATE_TEST_SUITE_P(on, web_identity_test, testing::Values(storage_of("AWS_web_identity")), name_of);

TEST_P(web_identity_test, a_token_of_another_key_audience_or_time_is_refused_and_health_says_what_to_do) {
  for (const std::string kind : {".forged", ".expired", ".stranger"}) {
    const auto other = make({{"webIdentityTokenFile", token(kind)}});
    const auto refused = sign_with(*other);
    ASSERT_FALSE(refused) << kind;
    EXPECT_EQ(refused.error().code(), errc::permission_denied) << kind;
    const auto health = other->health();
    ASSERT_TRUE(health) << kind;
    EXPECT_FALSE(health->healthy) << kind;
    EXPECT_EQ(health->code, errc::permission_denied) << kind;
    EXPECT_THAT(health->reason, HasSubstr("the token's issuer and audience")) << kind;
    const auto text = io::read_file(token(kind), 1 << 14).value();
    EXPECT_THAT(health->reason, Not(HasSubstr(text.substr(0, 20)))) << kind;
    EXPECT_EQ(run(other->put("x", "y")).error().code(), errc::permission_denied) << kind;
  }
}

TEST_P(web_identity_test, a_token_that_the_platform_has_renewed_heals_the_service) {
  const auto file = token(".renewed");
  std::filesystem::copy_file(token(".expired"), file);
  const auto d = make({{"webIdentityTokenFile", file}});
  ASSERT_FALSE(sign_with(*d));
  std::filesystem::copy_file(token(""), file, std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(sign_with(*d).error().code(), errc::permission_denied) << "a refusal is not repeated in a storm";
  clock.advance(std::chrono::minutes(2));
  const auto healed = sign_with(*d);
  ASSERT_TRUE(healed) << healed.error().message();
  EXPECT_TRUE(d->health()->healthy);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace evp
