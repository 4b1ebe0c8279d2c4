#include "auth/cos.h"

#include <gtest/gtest.h>

#include "auth/test_request.h"

namespace evp::auth {
namespace {

const std::string host = "examplebucket-1250000000.cos.ap-guangzhou.myqcloud.com";
const timestamp starts = sdk_time - seconds(1), ends = starts + seconds(900);

signable_request picture() {
  auto r = test_request("PUT", host, "/a/b ü+.txt");
  r.fields = {{"Host", host}, {"Content-Type", "image/png"}};
  return r;
}

TEST(cos_test, the_url_is_the_one_of_the_vendors_sdk) {
  const cos_signer signer(sdk_id, sdk_key, secret());
  EXPECT_EQ(signer.presign(picture(), starts, ends).reveal(),
            "https://" + host +
                "/a/b%20%C3%BC%2B.txt?q-sign-algorithm=sha1&q-ak=AKIDEXAMPLE&q-sign-time=1714979288;1714980188"
                "&q-key-time=1714979288;1714980188&q-header-list=content-type;host&q-url-param-list="
                "&q-signature=6aff2ba8e7f4181793d639deedea11917df32fc9");
}

TEST(cos_test, a_session_token_is_added_encoded_and_changes_no_signature) {
  const cos_signer plain(sdk_id, sdk_key, secret()), temporary(sdk_id, sdk_key, secret("to+ken="));
  EXPECT_EQ(temporary.presign(picture(), starts, ends).reveal(),
            plain.presign(picture(), starts, ends).reveal() + "&x-cos-security-token=to%2Bken%3D");
}

TEST(cos_test, fields_and_parameters_are_bound_by_name_and_value) {
  const cos_signer signer(sdk_id, sdk_key, secret());
  const auto right = end_of(signer.presign(picture(), starts, ends), 40);
  auto other = picture();
  other.fields[1].value = "image/jpeg";
  EXPECT_NE(end_of(signer.presign(other, starts, ends), 40), right);
  other = picture();
  other.query = {{"partNumber", "1"}};
  EXPECT_NE(end_of(signer.presign(other, starts, ends), 40), right);
  EXPECT_NE(signer.presign(other, starts, ends).reveal().find("q-url-param-list=partnumber&"), std::string::npos);
}

}  // namespace
}  // namespace evp::auth
