#include "auth/bos.h"

#include <gtest/gtest.h>

#include "auth/test_request.h"

namespace evp::auth {
namespace {

const std::string host = "examplebucket.bj.bcebos.com";

TEST(bos_test, the_url_is_the_one_of_the_vendors_sdk) {
  const bos_signer signer(sdk_id, sdk_key, secret());
  EXPECT_EQ(signer.presign(test_request("GET", host, "/v1/sp ace"), sdk_time, seconds(900)).reveal(),
            "https://" + host +
                "/v1/sp%20ace?authorization=bce-auth-v1%2FAKIDEXAMPLE%2F2024-05-06T07%3A08%3A09Z%2F900%2Fhost%2F"
                "ed6d33d1fa1ef6fb8222bd0ebdd7eeeb2ac3bd4d30bf33c36ac4eed59be2058f");
}

TEST(bos_test, fields_are_listed_in_order_and_bound) {
  const bos_signer signer(sdk_id, sdk_key, secret());
  auto r = test_request("PUT", host, "/x");
  r.fields = {{"X-Bce-Date", "d"}, {"Content-Type", " image/png "}};
  const auto text = signer.authorization(r, sdk_time, seconds(60));
  EXPECT_NE(text.find("/60/content-type;host;x-bce-date/"), std::string::npos);
  auto spaced = r;
  spaced.fields[1].value = "image/png";
  EXPECT_EQ(signer.authorization(spaced, sdk_time, seconds(60)), text);
  spaced.fields[1].value = "image/jpeg";
  EXPECT_NE(signer.authorization(spaced, sdk_time, seconds(60)), text);
}

TEST(bos_test, a_session_token_is_a_signed_parameter) {
  const bos_signer plain(sdk_id, sdk_key, secret()), temporary(sdk_id, sdk_key, secret("to+ken"));
  const auto r = test_request("GET", host, "/x");
  const auto url = temporary.presign(r, sdk_time, seconds(60));
  EXPECT_NE(url.reveal().find("x-bce-security-token=to%2Bken&authorization="), std::string::npos);
  EXPECT_NE(end_of(url, 64), end_of(plain.presign(r, sdk_time, seconds(60)), 64));
}

}  // namespace
}  // namespace evp::auth
