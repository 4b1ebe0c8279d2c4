// Policies, groups and quotas in a whole backend: on SQLite, and of two backends on one PostgreSQL.
#include "backend/test_replicas.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;

const policy_target own{policy_scope::tenant, ""}, of_cams{policy_scope::group, "cams"},
    of_device{policy_scope::device, "cam-1"};

struct policies_test : two_backends {
  void SetUp() override {
    add_default_service();
    add_device();
  }
  void TearDown() override {
    if (other_) two_backends::TearDown();
  }
  void with_both() { open_both(sql::new_postgresql_database()); }
  void put(const policy_target& where, policy p) {
    const auto saved = run(b_->policies.put(where, std::move(p)));
    ASSERT_TRUE(saved) << saved.error().message();
  }
  /// Grants of one device, each with a number of its own.
  wire::storage_token_response ask_for(std::string name, std::optional<std::uint64_t> size = {},
                                       std::optional<std::string> key = {}, backend* by = nullptr) {
    auto r = ask(std::to_string(++number_), std::move(name));
    r.size = size;
    r.key = std::move(key);
    return issue(by ? *by : *b_, std::move(r));
  }
  std::string refused(const wire::storage_token_response& g) {
    return g.failure ? g.failure->field() + " " + std::string(to_string(g.failure->code())) : "granted";
  }
  std::string stored_name(const wire::storage_token_response& g) {
    return run(b_->ledger.get(g.grant_id)).value().object;
  }
  wire::transfer_report_response report(const std::string& grant, std::uint64_t bytes, bool done = true) {
    wire::transfer_report r;
    r.grant_id = grant;
    r.done = done;
    r.bytes = bytes;
    r.http_status = done ? 201 : 500;
    return run(b_->grants.report("cam-1", r));
  }
  int number_ = 0;
};

TEST_F(policies_test, what_is_stated_is_kept_over_a_restart_and_shown_with_its_sources) {
  ASSERT_TRUE(run(b_->device_groups.put("cams", "outside")));
  ASSERT_TRUE(run(b_->devices.set_group("cam-1", "cams")));
  put(own, {.storages = {{"default"}}, .max_size = 100});
  put(of_cams, {.name_template = "{group}/{device}/{name}", .max_size = 10});
  put(of_device, {.operations = {{"put"}}, .content_types = {{"image/png"}}, .grants_per_minute = 5});
  reopen();
  const auto all = b_->policies.effective("cam-1").value();
  EXPECT_EQ(all.fields.storages, std::vector<std::string>{"default"});
  EXPECT_EQ(all.fields.max_size, 10u);
  EXPECT_EQ(all.fields.name_template, "{group}/{device}/{name}");
  EXPECT_EQ(all.fields.operations, std::vector<std::string>{"put"});
  EXPECT_EQ(all.fields.content_types, std::vector<std::string>{"image/png"});
  EXPECT_EQ(all.fields.grants_per_minute, 5u);
  EXPECT_FALSE(all.fields.bytes_per_day);
  EXPECT_EQ(all.sources.size(), 6u);
  EXPECT_EQ(b_->devices.get("cam-1")->group, "cams");
  EXPECT_EQ(run(b_->device_groups.get("cams"))->devices, 1u);
}

TEST_F(policies_test, a_policy_decides_storage_name_and_bounds_of_a_grant) {
  cloud_.enforces = {storage::bound::max_size, storage::bound::content_type};
  ASSERT_TRUE(run(b_->services.create(input("archive"))));
  ASSERT_TRUE(run(b_->device_groups.put("cams", "")));
  ASSERT_TRUE(run(b_->devices.set_group("cam-1", "cams")));
  put(own, {.default_storage = "archive",
            .storages = {{"archive"}},
            .name_template = "{group}/{device}/{yyyy}/{name}",
            .max_size = 50,
            .content_types = {{"image/png"}}});
  const auto g = ask_for("a.png");
  ASSERT_FALSE(g.failure) << g.failure->message();
  EXPECT_EQ(stored_name(g), "cams/cam-1/2026/a.png");
  EXPECT_EQ(run(b_->ledger.get(g.grant_id))->service_name, "archive");
  EXPECT_EQ(cloud_.signs.back().max_size, 50u);
  EXPECT_EQ(cloud_.signs.back().content_type, "image/png");
  EXPECT_EQ(refused(ask_for("a.png", 51)), "maxSize too_large");
  EXPECT_EQ(refused(ask_for("a.png", 1, "default")), "storages permission_denied");
  put(of_device, {.operations = {{"get"}}});
  EXPECT_EQ(refused(ask_for("a.png", 1)), "operations permission_denied");
  EXPECT_EQ(b_->policies.refusals(),
            (std::map<std::string_view, std::uint64_t>{{"maxSize", 1}, {"storages", 1}, {"operations", 1}}));
}

TEST_F(policies_test, where_the_storage_cannot_bind_the_type_it_is_a_header_of_the_grant) {
  put(own, {.content_types = {{"image/png"}}});
  const auto g = ask_for("a.png", 1);
  ASSERT_FALSE(g.failure);
  EXPECT_EQ(g.headers, (std::vector<wire::name_value>{{"Content-Type", "image/png"}}));
}

TEST_F(policies_test, a_file_beyond_the_policys_size_is_found_when_it_is_checked) {
  put(own, {.max_size = 5});
  const auto g = ask_for("a.bin");
  cloud_.objects["cam-1/up/a.bin"] = "123456";
  ASSERT_TRUE(run(b_->policies.remove(own))) << "the bound is that of when it was granted";
  const auto told = report(g.grant_id, 6);
  ASSERT_TRUE(told.failure);
  EXPECT_EQ(told.failure->code(), errc::data_corrupt);
  EXPECT_THAT(told.failure->message(), HasSubstr("policy"));
}

TEST_F(policies_test, names_with_a_group_are_refused_to_a_device_without_one) {
  put(own, {.name_template = "{group}/{device}/{name}"});
  EXPECT_EQ(refused(ask_for("a.png")), "group failed_precondition");
}

TEST_F(policies_test, grants_of_a_minute_are_counted_over_restarts) {
  put(of_device, {.grants_per_minute = 2});
  EXPECT_EQ(refused(ask_for("a")), "granted");
  reopen();
  EXPECT_EQ(refused(ask_for("b")), "granted");
  const auto over = ask_for("c");
  EXPECT_EQ(refused(over), "grantsPerMinute rate_limited");
  EXPECT_GT(over.failure->retry_after(), milliseconds(0));
  EXPECT_LE(over.failure->retry_after(), milliseconds(60'000));
  clock_.advance(*over.failure->retry_after());
  EXPECT_EQ(refused(ask_for("c")), "granted");
  EXPECT_EQ(run(b_->ledger.list({}, {})).value().items.size(), 3u) << "a refused grant leaves no row";
}

TEST_F(policies_test, bytes_of_a_day_are_counted_as_declared_then_as_stored) {
  put(own, {.bytes_per_day = 100});
  const auto first = ask_for("a", 60);
  ASSERT_EQ(refused(first), "granted");
  EXPECT_EQ(refused(ask_for("b", 41)), "bytesPerDay rate_limited");
  EXPECT_EQ(refused(ask_for("b", 40)), "granted");
  EXPECT_EQ(refused(ask_for("c", 1)), "bytesPerDay rate_limited");
  EXPECT_EQ(refused(ask_for("d", 101)), "bytesPerDay too_large") << "which no other day would change";
  EXPECT_EQ(refused(ask_for("e")), "bytesPerDay invalid_argument");

  cloud_.objects["cam-1/up/a"] = std::string(10, 'x');  // of 60 that were declared
  EXPECT_TRUE(report(first.grant_id, 10).verified);
  EXPECT_EQ(refused(ask_for("f", 50)), "bytesPerDay rate_limited") << "remembered from a moment ago";
  clock_.advance(seconds(10));
  EXPECT_EQ(refused(ask_for("f", 50)), "granted");
  const auto over = ask_for("g", 1);
  EXPECT_EQ(refused(over), "bytesPerDay rate_limited");
  clock_.advance(*over.failure->retry_after());
  EXPECT_EQ(refused(ask_for("g", 100)), "granted") << "on the next day";
}

TEST_F(policies_test, what_expires_unused_is_given_back_and_what_failed_is_not) {
  put(own, {.bytes_per_day = 100});
  ASSERT_EQ(refused(ask_for("a", 100)), "granted");
  clock_.advance(seconds(180));
  ASSERT_EQ(run(b_->grants.sweep_once()).value(), 1u);
  const auto second = ask_for("b", 100);
  ASSERT_EQ(refused(second), "granted");
  report(second.grant_id, 0, false);
  EXPECT_EQ(refused(ask_for("c", 1)), "bytesPerDay rate_limited");
}

TEST_F(policies_test, a_device_that_asks_on_over_its_quota_costs_no_signature) {
  put(of_device, {.grants_per_minute = 1});
  EXPECT_EQ(refused(ask_for("a")), "granted");
  EXPECT_EQ(refused(ask_for("b")), "grantsPerMinute rate_limited");
  const auto signatures = cloud_.signs.size();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(refused(ask_for("c")), "grantsPerMinute rate_limited");
  EXPECT_EQ(cloud_.signs.size(), signatures);
  put(of_device, {.grants_per_minute = 2});
  EXPECT_EQ(refused(ask_for("d")), "granted") << "another policy is another question";
}

TEST_F(policies_test, a_device_without_a_quota_is_not_counted) {
  ASSERT_EQ(refused(ask_for("a", 60)), "granted");
  std::function<result<sql::rows>(sql::connection&)> read = [](sql::connection& c) {
    return c.query("SELECT device FROM grant_counts");
  };
  EXPECT_TRUE(run(b_->database.run<sql::rows>(read))->empty());
}

TEST_F(policies_test, a_group_with_devices_stays_and_goes_with_its_policy_when_it_is_empty) {
  ASSERT_TRUE(run(b_->device_groups.put("cams", "")));
  ASSERT_TRUE(run(b_->devices.create("cam-2", "", {}, "cams")));
  put(of_cams, {.max_size = 1});
  EXPECT_EQ(run(b_->remove_group("cams")).error().code(), errc::failed_precondition);
  EXPECT_TRUE(b_->policies.get(of_cams));
  ASSERT_TRUE(run(b_->devices.set_group("cam-2", "")));
  ASSERT_TRUE(run(b_->remove_group("cams")));
  EXPECT_FALSE(b_->policies.get(of_cams));
  EXPECT_EQ(run(b_->remove_group("cams")).error().code(), errc::not_found);
  const auto nowhere = run(b_->devices.set_group("cam-2", "cams"));
  EXPECT_EQ(nowhere.error().field(), "group");
  EXPECT_EQ(run(b_->devices.create("cam-3", "", {}, "cams")).error().code(), errc::not_found);
  EXPECT_EQ(run(b_->policies.put(of_cams, {})).error().code(), errc::not_found);
}

TEST_F(policies_test, a_device_that_is_made_anew_has_nothing_of_the_earlier_ones_policy) {
  put(of_device, {.max_size = 1, .grants_per_minute = 1});
  ASSERT_EQ(refused(ask_for("a", 1)), "granted");
  ASSERT_TRUE(run(b_->remove_device("cam-1")));
  add_device();
  EXPECT_FALSE(b_->policies.get(of_device));
  EXPECT_EQ(refused(ask_for("a", 2)), "granted");
}

TEST_F(policies_test, tenants_have_policies_of_their_own) {
  ASSERT_TRUE(run(b_->access.create_tenant("acme")));
  ASSERT_TRUE(run(b_->services.create(input(), "acme")));
  ASSERT_TRUE(run(b_->devices.create("cam-1", "acme")));
  put({policy_scope::tenant, "acme"}, {.max_size = 1});
  EXPECT_EQ(refused(ask_for("a", 2)), "granted");
  auto r = ask("1");
  r.size = 2;
  EXPECT_EQ(refused(run(b_->grants.issue("acme:cam-1", r, wire::dialect::evp2))), "maxSize too_large");
  EXPECT_EQ(run(b_->policies.put({policy_scope::tenant, "acme"}, {.storages = {{"archive"}}})).error().field(),
            "storages");
}

TEST_F(policies_test, changes_are_in_the_audit) {
  put(of_device, {.max_size = 1});
  ASSERT_TRUE(run(b_->policies.remove(of_device)));
  EXPECT_EQ(run(b_->policies.remove(of_device)).error().code(), errc::not_found);
  const auto records = run(b_->audit.list({.object = "device"}, {})).value().items;
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].record.action, "policy.remove");
  EXPECT_EQ(records[1].record.object_name, "device/cam-1");
}

// What it would hear of each second is taken away, so that only the grant's own transaction can tell.
TEST_F(policies_test, a_backend_that_has_not_heard_of_a_change_grants_nothing_by_the_old_policy) {
  with_both();
  const auto hush = [this] {
    std::function<result<std::int64_t>(sql::connection&)> rename = [](sql::connection& c) {
      return c.execute("UPDATE changes SET topic = 'nothing' WHERE topic IN ('policy', 'device')");
    };
    EXPECT_TRUE(run(b_->database.run<std::int64_t>(rename)));
  };
  ASSERT_EQ(refused(ask_for("a", 5, {}, other_.get())), "granted");
  put(own, {.max_size = 4});
  hush();
  EXPECT_EQ(refused(ask_for("a", 5, {}, other_.get())), "maxSize too_large");

  ASSERT_TRUE(run(b_->device_groups.put("cams", "")));
  put(of_cams, {.operations = {{"get"}}});
  EXPECT_EQ(refused(ask_for("a", 3, {}, other_.get())), "granted") << "the device is in no group";
  ASSERT_TRUE(run(b_->devices.set_group("cam-1", "cams")));
  hush();
  EXPECT_EQ(refused(ask_for("a", 3, {}, other_.get())), "operations permission_denied");
}

TEST_F(policies_test, backends_on_one_database_count_together) {
  with_both();
  put(of_device, {.grants_per_minute = 3, .bytes_per_day = 100});
  EXPECT_EQ(refused(ask_for("a", 10)), "granted");
  EXPECT_EQ(refused(ask_for("b", 90, {}, other_.get())), "granted");
  EXPECT_EQ(refused(ask_for("c", 1)), "bytesPerDay rate_limited");
  EXPECT_EQ(refused(ask_for("d", 0, {}, other_.get())), "granted");
  EXPECT_EQ(refused(ask_for("e", 0)), "grantsPerMinute rate_limited");
}

// Both begin at once: no count may be lost between a look and a write.
TEST_F(policies_test, grants_at_the_same_time_are_counted_one_by_one) {
  with_both();
  put(of_device, {.grants_per_minute = 10});
  int granted = 0, answered = 0;
  for (int i = 0; i < 40; ++i)
    io::asio::co_spawn(ctx_, (i % 2 ? b_ : other_)->grants.issue("cam-1", ask(std::to_string(i)), wire::dialect::evp2),
                       [&](std::exception_ptr, wire::storage_token_response g) {
                         ++answered;
                         granted += !g.failure;
                       });
  ctx_.restart();
  while (answered < 40) ctx_.run_for(milliseconds(10));
  EXPECT_EQ(granted, 10);
}

}  // namespace
}  // namespace evp::backend
