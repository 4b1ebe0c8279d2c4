#include "auth/sigv2.h"

#include <gtest/gtest.h>

#include "auth/test_request.h"

namespace evp::auth {
namespace {

const std::string host = "examplebucket.obs.cn-north-4.myhuaweicloud.com:443";
const timestamp ends = sdk_time + seconds(900);

std::string signature_of(const secret& url) { return url.reveal().substr(url.reveal().find("Signature=") + 10); }

TEST(sigv2_test, obs_urls_with_fields_tokens_and_parameters_are_those_of_the_vendors_sdk) {
  const sigv2_signer signer(sdk_id, sdk_key, secret(), "examplebucket");
  auto r = test_request("PUT", host, "/a/b ü+.txt");
  r.fields = {{"x-obs-meta-dev", "d1"}, {"Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww=="}};
  EXPECT_EQ(
      signer.presign(r, ends).reveal(),
      "https://" + host +
          "/a/b%20%C3%BC%2B.txt?AccessKeyId=AKIDEXAMPLE&Expires=1714980189&Signature=CKH2bKhEPMrRdr5yoFYM7FN8S6k%3D");
  r.fields.clear();
  r.query = {{"partNumber", "3"}, {"uploadId", "AB+/="}};
  EXPECT_EQ(signature_of(signer.presign(r, ends)), "VPuis3G7jT4b5z8kPtL1mCtfwnc%3D");

  const sigv2_signer temporary(sdk_id, sdk_key, secret("FwoGZXIvYXdzEBYaDJ+/=token/with+special=chars=="),
                               "examplebucket");
  EXPECT_EQ(signature_of(temporary.presign(test_request("PUT", host, "/plain"), ends)),
            "tcFBzuos960riYbdeAewKHU3Ttk%3D");
}

// https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header has the
// form.
TEST(sigv2_test, oss_signs_the_decoded_object_and_obs_the_encoded_one) {
  const sigv2_signer oss(sdk_id, sdk_key, secret(), "examplebucket", oss1);
  const sigv2_signer obs(sdk_id, sdk_key, secret(), "examplebucket", obs2);
  const auto same_either_way = test_request("PUT", host, "/plain"), differs = test_request("PUT", host, "/a b");
  EXPECT_EQ(signature_of(oss.presign(same_either_way, ends)), signature_of(obs.presign(same_either_way, ends)));
  EXPECT_NE(signature_of(oss.presign(differs, ends)), signature_of(obs.presign(differs, ends)));
}

TEST(sigv2_test, parameters_that_are_no_sub_resources_are_sent_but_not_signed) {
  const sigv2_signer signer(sdk_id, sdk_key, secret(), "examplebucket");
  auto r = test_request("GET", host, "/x");
  const auto without = signature_of(signer.presign(r, ends));
  r.query = {{"marker", "m"}};
  EXPECT_EQ(signature_of(signer.presign(r, ends)), without);
  r.query = {{"uploads", ""}};
  EXPECT_NE(signature_of(signer.presign(r, ends)), without);
}

}  // namespace
}  // namespace evp::auth
