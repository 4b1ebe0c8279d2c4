// The documents of Swift's static large objects: what is made, what is read, what is refused.
#include "storage/drivers/swift_parts.h"

#include <gtest/gtest.h>

namespace evp::storage {
namespace {

constexpr const char* page = R"(<?xml version='1.0' encoding='UTF-8'?>
<container name="evp_segments"><object><name>a &amp; b/up1/00002</name><hash>aa</hash><bytes>4</bytes>
<content_type>x</content_type></object><object><name>a &amp; b/up1/00010</name><hash>bb</hash><bytes>5368709120</bytes></object></container>)";

TEST(swift_parts, names_sort_as_their_numbers) {
  EXPECT_EQ(swift_segment_name("a/b", "up1", 7), "a/b/up1/00007");
  EXPECT_LT(swift_segment_name("o", "u", 9), swift_segment_name("o", "u", 10));
  EXPECT_TRUE(swift_segment_name("o", "u", 10).starts_with(swift_segments_prefix("o", "u")));
}

TEST(swift_parts, a_listing_is_read_page_by_page_until_an_empty_one) {
  swift_segment_list all;
  ASSERT_TRUE(read_swift_segments(page, "a & b/up1/", all));
  ASSERT_EQ(all.parts.size(), 2u);
  EXPECT_EQ(all.parts[0].number, 2u);
  EXPECT_EQ(all.parts[1].size, 5368709120u);
  EXPECT_EQ(all.parts[1].etag, "bb");
  EXPECT_EQ(all.last, "a & b/up1/00010");
  EXPECT_TRUE(all.more);
  ASSERT_TRUE(read_swift_segments("<container name='x'/>", "a & b/up1/", all));
  EXPECT_FALSE(all.more);
  EXPECT_EQ(all.parts.size(), 2u);
}

TEST(swift_parts, a_listing_that_is_none_is_refused) {
  for (const auto* bad :
       {"", "<html/>", "<container><object><name>other/00001</name><hash>a</hash></object></container>",
        "<container><object><name>o/u/</name><hash>a</hash></object></container>",
        "<container><object><name>o/u/1x</name><hash>a</hash></object></container>",
        "<container><object><name>o/u/00000</name><hash>a</hash></object></container>",
        "<container><object><name>o/u/00001</name></object></container>",
        "<container><object><name>o/u/00002</name><hash>a</hash></object><object><name>o/u/00001</name>"
        "<hash>a</hash></object></container>"}) {
    swift_segment_list all;
    const auto read = read_swift_segments(bad, "o/u/", all);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code(), errc::data_corrupt);
  }
}

TEST(swift_parts, the_manifest_names_each_segment_with_what_it_must_be) {
  EXPECT_EQ(swift_manifest("evp_segments", "q\"uo", "u", {{1, 5, "aa"}, {2, 3, "bb"}}),
            R"([{"path":"/evp_segments/q\"uo/u/00001","etag":"aa","size_bytes":5},)"
            R"({"path":"/evp_segments/q\"uo/u/00002","etag":"bb","size_bytes":3}])");
}

}  // namespace
}  // namespace evp::storage
