#include "backend/object_names.h"

#include <gmock/gmock.h>

namespace evp::backend {
namespace {

const timestamp day = timestamp(std::chrono::sys_days(std::chrono::year(2026) / 3 / 7));

name_parts parts(std::string name) { return {"cam-1", "up", std::move(name), day}; }

TEST(object_names, the_default_template_puts_device_and_module_before_the_name) {
  const auto t = object_name_template::parse(default_object_name_template).value();
  EXPECT_EQ(t.expand(parts("dir/a b.jpg")).value(), "cam-1/up/dir/a b.jpg");
}

TEST(object_names, dates_are_utc_with_leading_zeros) {
  const auto t = object_name_template::parse("{yyyy}/{MM}/{dd}/{device}/{name}").value();
  EXPECT_EQ(t.expand(parts("a")).value(), "2026/03/07/cam-1/a");
}

TEST(object_names, a_group_stands_for_the_devices_and_a_device_without_one_is_refused) {
  const auto t = object_name_template::parse("{group}/{device}/{name}").value();
  auto in_group = parts("a");
  in_group.group = "gates";
  EXPECT_EQ(t.expand(in_group).value(), "gates/cam-1/a");
  EXPECT_EQ(t.expand(parts("a")).error().code(), errc::failed_precondition);
}

TEST(object_names, without_device_in_the_template_the_name_must_begin_with_the_device) {
  const auto t = object_name_template::parse("raw/{name}").value();
  EXPECT_EQ(t.expand(parts("cam-1/a")).value(), "raw/cam-1/a");
  for (const auto* name : {"a", "cam-2/a", "cam-1", "cam-10/a"}) {
    const auto r = t.expand(parts(name));
    ASSERT_FALSE(r) << name;
    EXPECT_EQ(r.error().code(), errc::permission_denied);
    EXPECT_EQ(r.error().field(), "filename");
  }
}

TEST(object_names, names_that_leave_their_prefix_are_refused) {
  const auto t = object_name_template::parse(default_object_name_template).value();
  for (const auto* name : {"", "../cam-2/a", "a/../b", "/a", "a/", "a//b", "a\\b", "a\nb", "."}) {
    const auto r = t.expand(parts(name));
    ASSERT_FALSE(r) << name;
    EXPECT_EQ(r.error().field(), "filename");
  }
}

TEST(object_names, a_name_with_braces_is_not_expanded_again) {
  const auto t = object_name_template::parse(default_object_name_template).value();
  EXPECT_EQ(t.expand(parts("{device}")).value(), "cam-1/up/{device}");
}

TEST(object_names, the_whole_name_has_a_bound) {
  const auto t = object_name_template::parse(default_object_name_template).value();
  EXPECT_TRUE(t.expand(parts(std::string(990, 'a'))));
  EXPECT_FALSE(t.expand(parts(std::string(995, 'a'))));
}

TEST(object_names, unusable_templates_are_refused_at_their_field) {
  for (const auto* text : {"", "{device}", "{nobody}/{name}", "{device}/{name", "{name}}", "{name}/{name}", "/{name}",
                           "{device}//{name}", "../{name}", "a\\{name}"}) {
    const auto r = object_name_template::parse(text);
    ASSERT_FALSE(r) << text;
    EXPECT_EQ(r.error().code(), errc::invalid_argument);
    EXPECT_EQ(r.error().field(), "objectNameTemplate") << text;
  }
}

}  // namespace
}  // namespace evp::backend
