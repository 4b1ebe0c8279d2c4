#include "base/names.h"

#include <gmock/gmock.h>

namespace evp {
namespace {

TEST(names, are_safe_as_topic_level_path_segment_and_file_name) {
  for (const auto* good : {"cam-1", "A", "0", "a.b_c-D"}) EXPECT_TRUE(check_name(good, "id")) << good;
  for (const auto* bad : {"", ".", "..", "-a", "$agent", "a/b", "a+b", "a#", "a b", "ü", "../../x"}) EXPECT_FALSE(check_name(bad, "id")) << bad;
  EXPECT_TRUE(check_name(std::string(64, 'a'), "id"));
  EXPECT_FALSE(check_name(std::string(65, 'a'), "id"));
}

TEST(object_names, allow_everything_that_is_signed_and_sent_alike) {
  for (const auto* good : {"a", "a/b", "写真 1.jpg", "a+b%20'\"#?&~", "...", ".a/..b"}) EXPECT_TRUE(check_object_name(good)) << good;
}

TEST(object_names, refuse_what_http_stacks_rewrite) {
  for (const auto* bad : {"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a\nb", "a\x7f", "\xff"})
    EXPECT_FALSE(check_object_name(bad)) << bad;
  EXPECT_TRUE(check_object_name(std::string(1000, 'a')));
  EXPECT_FALSE(check_object_name(std::string(1001, 'a')));
}

TEST(names, of_tenants_are_told_apart_and_cannot_be_made_up) {
  EXPECT_EQ(scoped_name("", "cam-1").value(), "cam-1");
  EXPECT_EQ(scoped_name("acme", "cam-1").value(), "acme:cam-1");
  EXPECT_FALSE(scoped_name("", "acme:cam-1"));
  EXPECT_FALSE(scoped_name("acme", "other:cam-1"));
  EXPECT_EQ(tenant_of("acme:cam-1"), "acme");
  EXPECT_EQ(tenant_of("cam-1"), "");
  EXPECT_EQ(local_name("acme:cam-1"), "cam-1");
  EXPECT_EQ(local_name("cam-1"), "cam-1");
  for (const auto* good : {"cam-1", "acme:cam-1"}) EXPECT_TRUE(check_scoped_name(good, "it")) << good;
  for (const auto* bad : {"", ":", ":a", "a:", "a:b:c", "a:.b", "-a:b"}) EXPECT_FALSE(check_scoped_name(bad, "it")) << bad;
}

}  // namespace
}  // namespace evp
