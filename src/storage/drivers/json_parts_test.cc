// The JSON documents of uploads in parts: what is read, what is made, what is refused.
#include "storage/drivers/json_parts.h"

#include <gtest/gtest.h>

namespace evp::storage {
namespace {

constexpr json_part_names names{"UploadId", "Parts", "PartNumber", "Size", "ETag", "IsTruncated"};

TEST(json_parts, the_upload_id_is_read) {
  EXPECT_EQ(json_upload_id(names, R"({"Bucket":"b","Key":"k","UploadId":"u/1+="})"), "u/1+=");
  for (const std::string bad : {"", "{}", "[]", R"({"UploadId":""})", R"({"UploadId":7})", "<xml/>"})
    EXPECT_FALSE(json_upload_id(names, bad)) << bad;
  EXPECT_FALSE(json_upload_id(names, R"({"UploadId":")" + std::string(3000, 'x') + R"("})"));
}

TEST(json_parts, pages_are_added_to_each_other) {
  s3_part_list all;
  ASSERT_TRUE(read_json_parts(
      names, R"({"UploadId":"u","IsTruncated":true,"Parts":[{"PartNumber":2,"ETag":"\"a\"","Size":5368709120}]})",
      all));
  EXPECT_TRUE(all.more);
  ASSERT_TRUE(read_json_parts(
      names, R"({"UploadId":"u","IsTruncated":false,"Parts":[{"PartNumber":3,"ETag":"b","Size":4}]})", all));
  EXPECT_FALSE(all.more);
  ASSERT_EQ(all.parts.size(), 2u);
  EXPECT_EQ(all.parts[0].size, 5368709120u);
  EXPECT_EQ(all.parts[0].etag, "\"a\"");
  EXPECT_EQ(all.parts[1].number, 3u);
}

TEST(json_parts, a_truncated_page_without_parts_is_the_last_one) {
  s3_part_list all;
  ASSERT_TRUE(read_json_parts(names, R"({"UploadId":"u","IsTruncated":true,"Parts":[]})", all));
  EXPECT_FALSE(all.more) << "or the listing would never end";
}

TEST(json_parts, a_listing_that_is_none_is_refused) {
  for (const auto* bad :
       {"", "[]", R"({"Parts":[]})", R"({"UploadId":"u","Parts":[{"PartNumber":0,"ETag":"a","Size":1}]})",
        R"({"UploadId":"u","Parts":[{"PartNumber":1,"Size":1}]})",
        R"({"UploadId":"u","Parts":[{"PartNumber":1,"ETag":"a"}]})",
        R"({"UploadId":"u","Parts":[{"PartNumber":1,"ETag":"a","Size":-1}]})",
        R"({"UploadId":"u","Parts":[{"PartNumber":2,"ETag":"a","Size":1},{"PartNumber":1,"ETag":"a","Size":1}]})"}) {
    s3_part_list all;
    const auto read = read_json_parts(names, bad, all);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code(), errc::data_corrupt);
  }
}

TEST(json_parts, the_commit_names_numbers_and_tags) {
  EXPECT_EQ(json_commit_body(names, {{1, 5, "\"a\""}, {2, 3, "b"}}),
            R"({"Parts":[{"PartNumber":1,"ETag":"\"a\""},{"PartNumber":2,"ETag":"b"}]})");
}

}  // namespace
}  // namespace evp::storage
