#include "auth/azure_sas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

const secret test_key(to_base64("0123456789abcdef0123456789abcdef"));
const timestamp expiry = *parse_rfc3339("2026-01-02T03:04:05.678Z");

azure_sas_signer signer() { return *azure_sas_signer::make("acct", test_key); }
azure_service_sas blob_sas() {
  azure_service_sas sas;
  sas.container = "evp";
  sas.path = "cam 1/\xC3\xBC.jpg";
  sas.permissions = "wc";
  sas.expires = expiry;
  sas.protocol = "https";
  return sas;
}

TEST(azure_sas_test, a_blob_sas_signs_the_decoded_path_and_whole_seconds) {
  const auto made = *signer().sign(blob_sas());
  EXPECT_EQ(made.string_to_sign,
            "cw\n\n2026-01-02T03:04:05Z\n/blob/acct/evp/cam 1/\xC3\xBC.jpg\n\n\nhttps\n2022-11-02\nb\n\n\n\n\n\n\n");
  const auto mac = hmac_sha256("0123456789abcdef0123456789abcdef", made.string_to_sign);
  EXPECT_EQ(made.query.reveal(),
            "sv=2022-11-02&spr=https&se=2026-01-02T03%3A04%3A05Z&sr=b&sp=cw&sig=" + percent_encode(to_base64(mac)));
}

TEST(azure_sas_test, permissions_come_out_in_the_services_order) {
  auto sas = blob_sas();
  sas.permissions = "dwcar";
  EXPECT_THAT(signer().sign(sas)->query.reveal(), HasSubstr("sp=racwd&"));
  azure_account_sas account;
  account.permissions = "cldwr";
  account.resource_types = "co";
  EXPECT_THAT(signer().sign(account).query.reveal(), HasSubstr("sp=rwdlc&"));
}

TEST(azure_sas_test, the_layout_grows_with_the_version) {
  auto sas = blob_sas();
  const auto lines = [&](std::string version) {
    sas.version = std::move(version);
    const auto made = *signer().sign(sas);
    return std::count(made.string_to_sign.begin(), made.string_to_sign.end(), '\n') + 1;
  };
  EXPECT_EQ(lines("2015-04-05"), 13);
  EXPECT_EQ(lines("2018-11-09"), 15);
  EXPECT_EQ(lines("2020-12-06"), 16);
}

TEST(azure_sas_test, a_directory_and_a_container_name_their_kind) {
  auto sas = blob_sas();
  sas.path = "cam-1/logs";
  sas.depth = 2;
  EXPECT_THAT(signer().sign(sas)->query.reveal(), HasSubstr("sr=d&sdd=2"));
  sas.path.clear();
  EXPECT_THAT(signer().sign(sas)->query.reveal(), HasSubstr("sr=c"));
}

TEST(azure_sas_test, a_delegation_key_signs_instead_of_the_accounts_key) {
  auto sas = blob_sas();
  sas.delegation = azure_delegation_key{"o", "t", "s", "e", "b", "2020-12-06", secret(to_base64("other key"))};
  const auto made = *signer().sign(sas);
  EXPECT_THAT(made.query.reveal(), HasSubstr(percent_encode(to_base64(hmac_sha256("other key", made.string_to_sign)))));
  sas.delegation->value = secret("not base64!");
  EXPECT_EQ(signer().sign(sas).error().code(), errc::invalid_argument);
}

TEST(azure_sas_test, a_key_that_is_no_base64_is_refused_without_being_repeated) {
  const auto made = azure_sas_signer::make("acct", secret("pa$$word"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), errc::invalid_argument);
  EXPECT_THAT(made.error().message(), Not(HasSubstr("pa$$word")));
}

}  // namespace
}  // namespace evp::auth
