#include "auth/qiniu.h"

#include <gtest/gtest.h>

#include "auth/test_request.h"

namespace evp::auth {
namespace {

TEST(qiniu_test, the_upload_token_is_the_one_of_the_vendors_sdk) {
  const qiniu_signer signer(sdk_id, sdk_key);
  qiniu_put_policy policy;
  policy.bucket = "examplebucket";
  policy.object = "sp ace";
  policy.expires_at = sdk_time + seconds(900);
  policy.most_bytes = 1000;
  policy.create_only = true;
  EXPECT_EQ(
      signer.upload_token(policy).reveal(),
      "AKIDEXAMPLE:wSfgL63_ujQgJLiufPZMqZm-wU0=:eyJzY29wZSI6ImV4YW1wbGVidWNrZXQ6c3AgYWNlIiwiZnNpemVMaW1pdCI6MTAwMCwi"
      "aW5zZXJ0T25seSI6MSwiZGVhZGxpbmUiOjE3MTQ5ODAxODl9");
}

// Computed with Python's hmac after https://developer.qiniu.com/kodo/1202/download-token.
TEST(qiniu_test, a_download_url_is_signed_with_its_expiry) {
  const qiniu_signer signer("MY_ACCESS_KEY", secret("MY_SECRET_KEY"));
  EXPECT_EQ(
      signer.download_url("http://78re52.com1.z0.glb.clouddn.com/resource/flower.jpg", timestamp(seconds(1451491200)))
          .reveal(),
      "http://78re52.com1.z0.glb.clouddn.com/resource/flower.jpg?e=1451491200"
      "&token=MY_ACCESS_KEY:438dd8pXocjYuF-6dTcKMtETB2g=");
}

TEST(qiniu_test, a_download_url_with_a_query_is_continued) {
  const qiniu_signer signer(sdk_id, sdk_key);
  EXPECT_EQ(
      signer.download_url("http://h/x?a=b", sdk_time).reveal().find("http://h/x?a=b&e=1714979289&token=AKIDEXAMPLE:"),
      0u);
}

// The example of https://developer.qiniu.com/kodo/1201/access-token.
TEST(qiniu_test, the_documented_management_token_comes_out_byte_for_byte) {
  const qiniu_signer signer("MY_ACCESS_KEY", secret("MY_SECRET_KEY"));
  EXPECT_EQ(signer.management_authorization("/move/bmV3ZG9jczpmaW5kX21hbi50eHQ=/bmV3ZG9jczpmaW5kLm1hbi50eHQ="),
            "QBox MY_ACCESS_KEY:FXsYh0wKHYPEsIAgdPD9OfjkeEM=");
}

TEST(qiniu_test, every_bound_is_part_of_what_is_signed) {
  const qiniu_signer signer(sdk_id, sdk_key);
  qiniu_put_policy policy;
  policy.bucket = "b";
  policy.object = "o\"\n";
  policy.expires_at = sdk_time;
  std::string last = signer.upload_token(policy).reveal();
  const auto changes = [&] {
    const auto now = signer.upload_token(policy).reveal();
    return std::exchange(last, now) != now;
  };
  policy.least_bytes = 1;
  EXPECT_TRUE(changes());
  policy.most_bytes = 2;
  EXPECT_TRUE(changes());
  policy.create_only = true;
  EXPECT_TRUE(changes());
  policy.mime_types = "image/png";
  EXPECT_TRUE(changes());
}

}  // namespace
}  // namespace evp::auth
