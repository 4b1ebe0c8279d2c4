// Changes of provider on real databases: who may sign, and what is counted.
#include "sql/provider_changes_store.h"

#include "sql/services_store.h"
#include "sql/test_database.h"

namespace evp::sql {
namespace {

struct provider_changes_store_test : test_database {
  void SetUp() override {
    for (const auto* name : {"old", "new", "third"})
      ASSERT_TRUE(in_db([&](connection& c) { return insert_service(c, service(name)); }));
  }
  static service_row service(const std::string& name) {
    service_row s;
    s.id = "id-" + name;
    s.name = name;
    s.type = "AWS";
    s.verify = "head";
    return s;
  }
  static provider_change_row change(const std::string& state = "running", std::int64_t percent = 5) {
    return {.source_id = "id-old",
            .source_name = "old",
            .id = "change-1",
            .target_id = "id-new",
            .target_name = "new",
            .percent = percent,
            .error_percent = 10,
            .minimum = 20,
            .window_ms = 60'000,
            .state = state,
            .reason = "",
            .began_at = 1,
            .updated_at = 2};
  }
  void put(const provider_change_row& r) {
    ASSERT_TRUE(in_db([&](connection& c) { return put_provider_change(c, r); }));
  }
  static upload_row upload(const std::string& id, bool is_target) {
    upload_row u;
    u.grant_id = id;
    u.device = "cam-1";
    u.service_id = is_target ? "id-new" : "id-old";
    u.service_name = is_target ? "new" : "old";
    u.service_revision = 1;
    u.operation = "put";
    u.state = "issued";
    u.object = "a.jpg";
    u.asked_service = is_target ? "old" : "";
    u.change_id = "change-1";
    u.issued_at = u.updated_at = 100'000;
    u.expires_at = 200'000;
    return u;
  }
  void grant(const upload_row& u) {
    ASSERT_TRUE(in_db([&](connection& c) {
      count_granted(c, u);
      return insert_upload(c, u);
    }));
  }
  void move(upload_row& u, const std::string& state, std::int64_t at) {
    ASSERT_TRUE(in_db([&](connection& c) {
      count_moved(c, u, state, at);
      return change_upload(c, {u.grant_id, state, "", {}, "", at});
    }));
    u.state = state;
    u.updated_at = at;
  }
  bool may(const upload_row& u, service_asked_for asked) {
    return in_db([&](connection& c) { return may_sign(c, u, asked, {}); }).value().has_value();
  }
  change_counts counts(std::int64_t since) {
    return in_db([&](connection& c) { return find_change_counts(c, "change-1", since); }).value();
  }
};

INSTANTIATE_TEST_SUITE_P(, provider_changes_store_test, on_both, name_of_database);

TEST_P(provider_changes_store_test, a_change_comes_back_as_it_was_stored_and_each_storing_raises_its_revision) {
  put(change());
  put(change("running", 50));
  const auto r = in_db([](connection& c) { return find_provider_change(c, "id-old"); }).value().value();
  EXPECT_EQ(r.revision, 2);
  EXPECT_EQ(r.percent, 50);
  EXPECT_EQ(r.target_name, "new");
  EXPECT_EQ(r.window_ms, 60'000);
  EXPECT_EQ(in_db([](connection& c) { return list_provider_changes(c); })->size(), 1u);
  EXPECT_EQ(in_db([](connection& c) { return find_provider_change(c, "id-new"); }).value(), std::nullopt);
}

TEST_P(provider_changes_store_test, who_knows_an_older_revision_may_sign_neither_by_the_old_nor_by_the_new_service) {
  const auto by_old = upload("g", false), by_new = upload("g", true);
  EXPECT_TRUE(may(by_old, {"id-old", 0}));
  put(change());
  EXPECT_FALSE(may(by_old, {"id-old", 0})) << "it has not heard that the change began";
  EXPECT_TRUE(may(by_old, {"id-old", 1}));
  EXPECT_TRUE(may(by_new, {"id-old", 1}));
  put(change("gone back"));
  EXPECT_FALSE(may(by_new, {"id-old", 1})) << "it has not heard that the change went back";
  EXPECT_TRUE(may(by_old, {"id-old", 2}));
  auto replaced = by_new;
  replaced.service_revision = 2;
  EXPECT_FALSE(may(replaced, {"id-old", 2}));
}

TEST_P(provider_changes_store_test, more_parts_are_signed_by_the_new_service_only_while_the_change_runs) {
  put(change());
  EXPECT_TRUE(may(upload("g", true), {}));
  put(change("running", 50));
  EXPECT_TRUE(may(upload("g", true), {}));
  EXPECT_TRUE(may(upload("g", false), {}));
  put(change("fallen back"));
  EXPECT_FALSE(may(upload("g", true), {}));
  EXPECT_TRUE(may(upload("g", false), {})) << "what goes to the old storage goes on";
}

TEST_P(provider_changes_store_test, each_side_s_outcomes_are_counted_from_the_beginning_and_of_late) {
  put(change());
  auto a = upload("a", true), b = upload("b", true), c = upload("c", false);
  for (const auto* u : {&a, &b, &c}) grant(*u);
  move(a, "failed", 110'000);
  move(b, "verified", 900'000);
  move(c, "uploaded", 900'000);
  move(c, "expired", 910'000);
  const auto all = counts(880'000);
  EXPECT_EQ(all.to.granted, 2);
  EXPECT_EQ(all.to.failed, 1);
  EXPECT_EQ(all.to.verified, 1);
  EXPECT_EQ(all.to.errors(), 1);
  EXPECT_EQ(all.to_lately.failed, 0);
  EXPECT_EQ(all.to_lately.outcomes(), 1);
  EXPECT_EQ(all.from.expired, 1);
  EXPECT_EQ(all.from.uploaded, 0) << "it was to be checked yet";
  EXPECT_EQ(all.from_lately.errors(), 1);
}

TEST_P(provider_changes_store_test, an_upload_that_expired_and_is_reported_late_is_no_error_any_more) {
  put(change());
  auto a = upload("a", true);
  grant(a);
  move(a, "expired", 210'000);
  EXPECT_EQ(counts(200'000).to_lately.errors(), 1);
  move(a, "verified", 260'000);
  const auto now = counts(200'000);
  EXPECT_EQ(now.to.expired, 0);
  EXPECT_EQ(now.to_lately.errors(), 0);
  EXPECT_EQ(now.to_lately.verified, 1);
}

TEST_P(provider_changes_store_test, the_device_s_word_is_an_outcome_where_nobody_checks) {
  put(change());
  auto a = upload("a", true);
  a.verify = "none";
  grant(a);
  move(a, "uploaded", 110'000);
  EXPECT_EQ(counts(0).to.uploaded, 1);
  EXPECT_EQ(counts(0).to.outcomes(), 1);
}

TEST_P(provider_changes_store_test, slices_that_no_window_can_reach_and_counts_of_earlier_changes_are_dropped) {
  put(change());
  auto a = upload("a", true), b = upload("b", true);
  for (const auto* u : {&a, &b}) grant(*u);
  move(a, "failed", 110'000);
  move(b, "failed", 110'000 + max_count_window_ms + 2 * count_slice_ms);
  EXPECT_EQ(counts(1).to_lately.failed, 1);
  EXPECT_EQ(counts(1).to.failed, 2);
  auto next = change();
  next.id = "change-2";
  put(next);
  EXPECT_EQ(counts(1).to.failed, 0);
}

TEST_P(provider_changes_store_test, a_service_in_a_change_that_runs_is_neither_removed_nor_used_in_another) {
  put(change());
  for (const auto* id : {"id-old", "id-new"}) {
    const auto refused = in_db([&](connection& c) { return check_takes_no_part(c, id); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::failed_precondition);
  }
  EXPECT_TRUE(in_db([](connection& c) { return check_takes_no_part(c, "id-third"); }));
  const auto begin = [&](std::string from, std::string to) {
    return in_db([&](connection& c) { return check_can_begin(c, from, to); });
  };
  EXPECT_FALSE(begin("id-new", "id-third"));
  EXPECT_FALSE(begin("id-third", "id-old"));
  EXPECT_TRUE(begin("id-third", "id-new"));
  EXPECT_EQ(begin("id-third", "nobody").error().code(), errc::not_found);
  put(change("gone back"));
  EXPECT_TRUE(begin("id-new", "id-old"));
  EXPECT_TRUE(in_db([](connection& c) { return check_takes_no_part(c, "id-new"); }));
}

TEST_P(provider_changes_store_test, what_went_to_the_new_service_is_found_by_name_and_while_its_grants_live) {
  put(change());
  auto a = upload("a", true), b = upload("b", false);
  for (const auto* u : {&a, &b}) grant(*u);
  const auto has = [&](const std::string& name) {
    return in_db([&](connection& c) { return has_rerouted_object(c, change(), name); }).value();
  };
  EXPECT_FALSE(has("a.jpg")) << "granted, not there";
  move(a, "verified", 110'000);
  EXPECT_TRUE(has("a.jpg"));
  EXPECT_FALSE(has("b.jpg"));
  const auto live = [&](std::int64_t now) {
    return in_db([&](connection& c) { return find_rerouted_grants(c, change(), now); }).value();
  };
  EXPECT_EQ(live(150'000).count, 1);
  EXPECT_EQ(live(150'000).last_expires_at, 200'000);
  EXPECT_EQ(live(200'000).count, 0);
}

}  // namespace
}  // namespace evp::sql
