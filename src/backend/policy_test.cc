#include "backend/policy.h"

#include <gmock/gmock.h>

namespace evp::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

bool has_archive(const std::string& name) { return name == "default" || name == "archive"; }

wire::storage_token_request ask(std::optional<std::uint64_t> size = {}, std::optional<std::string> type = {}) {
  wire::storage_token_request r;
  r.size = size;
  r.content_type = std::move(type);
  return r;
}

TEST(policy, an_empty_one_is_good_and_bounds_nothing) {
  EXPECT_TRUE(check_policy({}, has_archive));
  EXPECT_TRUE(judge_storage({}, std::nullopt, wire::blob_operation::get));
  const auto bounds = judge_upload({}, ask(), std::nullopt, {}).value();
  EXPECT_FALSE(bounds.max_size);
  EXPECT_EQ(bounds.quota_bytes, 0u);
  EXPECT_THAT(bounds.content_type, IsEmpty());
}

TEST(policy, each_bad_field_is_refused_by_name) {
  const std::vector<std::string> many(65, "archive");
  const std::pair<policy, std::string_view> bad[] = {
      {{.default_storage = "nowhere"}, "defaultStorage"},
      {{.default_storage = "a/b"}, "defaultStorage"},
      {{.default_storage = "default", .storages = {{"archive"}}}, "defaultStorage"},
      {{.storages = {{"archive", "nowhere"}}}, "storages"},
      {{.storages = {{"archive", "archive"}}}, "storages"},
      {{.storages = std::vector<std::string>()}, "storages"},
      {{.storages = many}, "storages"},
      {{.operations = {{"delete"}}}, "operations"},
      {{.operations = std::vector<std::string>()}, "operations"},
      {{.name_template = "{device}/{color}/{name}"}, "nameTemplate"},
      {{.name_template = "{device}"}, "nameTemplate"},
      {{.max_size = 0}, "maxSize"},
      {{.max_size = UINT64_MAX}, "maxSize"},
      {{.content_types = {{"jpeg"}}}, "contentTypes"},
      {{.content_types = {{"image/jpeg; q=1"}}}, "contentTypes"},
      {{.content_types = {{"*/*"}}}, "contentTypes"},
      {{.content_types = {{"image/\r\nx"}}}, "contentTypes"},
      {{.grants_per_minute = 0}, "grantsPerMinute"},
      {{.grants_per_minute = 1'000'001}, "grantsPerMinute"},
      {{.bytes_per_day = 0}, "bytesPerDay"},
  };
  for (const auto& [p, field] : bad) {
    const auto checked = check_policy(p, has_archive);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().code(), errc::invalid_argument) << field;
    EXPECT_EQ(checked.error().field(), field) << checked.error().message();
    EXPECT_THAT(checked.error().message(), HasSubstr(std::string(field)));
  }
}

TEST(policy, of_a_field_that_several_state_the_devices_counts_then_the_groups) {
  const policy tenant{.default_storage = "archive", .max_size = 1, .grants_per_minute = 1};
  const policy group{.max_size = 2, .grants_per_minute = 2};
  const policy device{.max_size = 3};
  const auto all = merge_policies({&tenant, &group, &device});
  EXPECT_EQ(all.fields.max_size, 3u);
  EXPECT_EQ(all.fields.grants_per_minute, 2u);
  EXPECT_EQ(all.fields.default_storage, "archive");
  EXPECT_THAT(all.sources,
              ElementsAre(Pair("defaultStorage", policy_scope::tenant), Pair("maxSize", policy_scope::device),
                          Pair("grantsPerMinute", policy_scope::group)));
  EXPECT_EQ(merge_policies({&tenant, nullptr, nullptr}).fields.max_size, 1u);
  EXPECT_THAT(merge_policies({}).sources, IsEmpty());
}

TEST(policy, a_request_without_a_storage_means_the_policys_default) {
  EXPECT_EQ(storage_of({.default_storage = "archive"}, std::nullopt), "archive");
  EXPECT_EQ(storage_of({.default_storage = "archive"}, ""), "archive");
  EXPECT_EQ(storage_of({.default_storage = "archive"}, "other"), "other");
  EXPECT_EQ(storage_of({}, std::nullopt), std::nullopt);
}

TEST(policy, a_storage_or_an_operation_that_is_not_named_is_refused) {
  const policy p{.storages = {{"archive"}}, .operations = {{"put"}}};
  EXPECT_TRUE(judge_storage(p, "archive", wire::blob_operation::put));
  const auto other = judge_storage(p, std::nullopt, wire::blob_operation::put);
  ASSERT_FALSE(other) << "without a name it is the one named default";
  EXPECT_EQ(other.error().code(), errc::permission_denied);
  EXPECT_EQ(other.error().field(), "storages");
  const auto get = judge_storage(p, "archive", wire::blob_operation::get);
  ASSERT_FALSE(get);
  EXPECT_EQ(get.error().field(), "operations");
}

TEST(policy, a_larger_file_is_refused_and_one_of_unknown_size_bounded) {
  const policy p{.max_size = 10};
  EXPECT_TRUE(judge_upload(p, ask(10), std::nullopt, {}));
  const auto larger = judge_upload(p, ask(11), std::nullopt, {});
  ASSERT_FALSE(larger);
  EXPECT_EQ(larger.error().code(), errc::too_large);
  EXPECT_EQ(larger.error().field(), "maxSize");
  EXPECT_EQ(judge_upload(p, ask(), std::nullopt, {})->max_size, 10u);
  auto get = ask(11);
  get.operation = wire::blob_operation::get;
  EXPECT_TRUE(judge_upload(p, get, std::nullopt, {}));
}

TEST(policy, a_file_has_one_of_the_types_or_the_first) {
  const policy p{.content_types = {{"image/*", "application/json"}}};
  EXPECT_EQ(judge_upload(p, ask(1, "image/png"), std::nullopt, {})->content_type, "image/png");
  EXPECT_EQ(judge_upload(p, ask(1, "Application/JSON; charset=utf-8"), std::nullopt, {})->content_type,
            "Application/JSON; charset=utf-8");
  EXPECT_EQ(judge_upload(p, ask(1), std::nullopt, {})->content_type, "application/json");
  for (const auto* type : {"text/html", "imagex/png", "image/", "image", "application/json5", "image/p\xc3\xa4"}) {
    const auto refused = judge_upload(p, ask(1, type), std::nullopt, {});
    ASSERT_FALSE(refused) << type;
    EXPECT_EQ(refused.error().code(), errc::permission_denied);
    EXPECT_EQ(refused.error().field(), "contentTypes");
  }
  const auto unstated = judge_upload({.content_types = {{"image/*"}}}, ask(1), std::nullopt, {});
  ASSERT_FALSE(unstated);
  EXPECT_EQ(unstated.error().code(), errc::invalid_argument);
}

TEST(policy, the_type_in_the_services_headers_is_the_one_that_is_judged) {
  const policy p{.content_types = {{"image/*"}}};
  EXPECT_THAT(judge_upload(p, ask(1, "text/html"), std::nullopt, {{"content-type", "image/png"}})->content_type,
              IsEmpty());
  EXPECT_FALSE(judge_upload(p, ask(1, "image/png"), std::nullopt, {{"Content-Type", "text/html"}}));
}

TEST(policy, a_counted_file_of_unknown_size_counts_as_the_largest_that_is_allowed) {
  policy p{.bytes_per_day = 100};
  EXPECT_EQ(judge_upload(p, ask(7), std::nullopt, {})->quota_bytes, 7u);
  EXPECT_EQ(judge_upload(p, ask(), 40, {})->quota_bytes, 40u);
  const auto unknown = judge_upload(p, ask(), std::nullopt, {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().field(), "bytesPerDay");
  EXPECT_THAT(unknown.error().message(), HasSubstr("maxSize"));
  p.max_size = 30;
  EXPECT_EQ(judge_upload(p, ask(), 40, {})->quota_bytes, 30u);
  p.max_size = 101;
  const auto never = judge_upload(p, ask(), std::nullopt, {});
  ASSERT_FALSE(never) << "waiting would not help";
  EXPECT_EQ(never.error().code(), errc::too_large);
}

}  // namespace
}  // namespace evp::backend
