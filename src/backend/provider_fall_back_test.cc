// Changes of provider that fall back by themselves, and two backends on PostgreSQL that do so together.
#include "backend/test_changing_fleet.h"
#include "sql/connection.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;

TEST(is_beyond, wants_more_than_the_rate_among_enough_outcomes) {
  sql::side_counts n;
  n.verified = 18;
  n.failed = 1;
  n.expired = 1;
  EXPECT_FALSE(is_beyond(n, 10, 20)) << "ten in a hundred are not more than ten";
  n.refused = 1;
  EXPECT_TRUE(is_beyond(n, 10, 20));
  EXPECT_FALSE(is_beyond(n, 10, 22));
  EXPECT_FALSE(is_beyond({}, 0, 1));
  EXPECT_FALSE(is_beyond(n, 100, 1)) << "never";
}

struct provider_fall_back_test : changing_fleet, testing::WithParamInterface<const char*> {
  void SetUp() override { open_on(GetParam()); }
};

struct provider_changes_on_postgresql : changing_fleet {
  void SetUp() override { open_on("postgresql"); }
};

INSTANTIATE_TEST_SUITE_P(, provider_fall_back_test, sql::on_both, sql::name_of_database);

TEST_P(provider_fall_back_test, beyond_the_error_rate_it_falls_back_once_with_a_record_and_a_reason) {
  begin(5);
  upload_files(out_, 3, true);
  upload_files(in_, 2, true);
  upload_files(in_, 1, false);
  ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  EXPECT_EQ(view().state, change_state::running) << "three outcomes of four are not enough to tell";
  upload_files(in_, 1, false);
  ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  const auto v = view();
  EXPECT_EQ(v.state, change_state::fallen_back);
  EXPECT_EQ(v.reason, "2 of the last 4 uploads to new failed, more than 25 in a hundred; to default 0 of 3");
  EXPECT_EQ(v.ended_at, clock_.now());
  EXPECT_THAT(issue(in_).url.reveal(), HasSubstr(old_url));

  ASSERT_TRUE(run(other_->provider_changes.load()));
  EXPECT_EQ(run(other_->provider_changes.watch_once()).value(), 0u);
  ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  EXPECT_THAT(audited(action::service_fall_back), testing::ElementsAre("system ok to=new percent=5 errors=2/4"));
  const auto counted = run(b_->provider_changes.count()).value();
  EXPECT_EQ(counted.fell_back, 1u);
  EXPECT_EQ(counted.by_state.at("fallen back"), 1u);
}

TEST_P(provider_fall_back_test, another_backend_that_only_sees_the_outcomes_lets_it_fall_back_too) {
  begin(5);
  ASSERT_TRUE(run(other_->provider_changes.load()));
  upload_files(in_, 3, true);
  for (int i = 0; i < 2; ++i) {
    const auto g = issue(in_, "x" + std::to_string(i));
    ASSERT_TRUE(run(other_->ledger.settle({.grant_id = g.grant_id, .state = upload_state::expired})));
  }
  ASSERT_TRUE(run(other_->provider_changes.watch_once()));
  EXPECT_EQ(view().state, change_state::fallen_back);
  EXPECT_THAT(issue(in_).url.reveal(), HasSubstr(old_url)) << "this one has not heard of it";
  EXPECT_EQ(audited(action::service_fall_back).size(), 1u);
}

TEST_P(provider_fall_back_test, errors_that_are_older_than_the_window_do_not_count) {
  begin(5);
  upload_files(in_, 3, false);
  clock_.advance(seconds(120));
  upload_files(in_, 4, true);
  ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  EXPECT_EQ(view().state, change_state::running);
  EXPECT_EQ(view().figures.to.failed, 3);
  EXPECT_EQ(view().figures.to_lately.errors(), 0);
}

TEST_P(provider_fall_back_test, a_storage_that_cannot_sign_is_an_error_too) {
  begin(100, 2);
  cloud_.sign_failure = error(errc::unauthenticated, "the key was revoked");
  EXPECT_TRUE(issue(in_, "1").failure);
  EXPECT_TRUE(issue(in_, "2").failure);
  // The backend's own watch may be writing the same at this moment.
  for (int i = 0; i < 100 && view().state == change_state::running; ++i)
    ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  EXPECT_EQ(view().state, change_state::fallen_back);
  EXPECT_EQ(view().figures.to.refused, 2);
}

TEST_P(provider_fall_back_test, offline_grants_that_are_never_used_are_no_errors) {
  cloud_.enforces = {storage::bound::object, storage::bound::expiry};
  for (const auto* name : {"default", "new"}) {
    auto in = input();
    in.options["endpoint"] =
        secret(name == std::string("new") ? "https://elsewhere.example" : "https://storage.example");
    in.offline_duration = "PT1H";
    ASSERT_TRUE(run(b_->services.replace(name, in)));
  }
  begin(5, 1);
  auto r = ask("off");
  r.size = 3;
  r.offline = true;
  r.accept.push_back("offline/1");
  const auto g = run(b_->grants.issue(in_, r, wire::dialect::evp2));
  ASSERT_FALSE(g.failure) << g.failure->message();
  EXPECT_THAT(g.url.reveal(), HasSubstr(new_url));
  ASSERT_TRUE(run(b_->ledger.settle({.grant_id = g.grant_id, .state = upload_state::expired})));
  ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  EXPECT_EQ(view().state, change_state::running);
  EXPECT_EQ(run(b_->provider_changes.go_back("default"))->still_good->offline, 1u);
}

TEST_P(provider_fall_back_test, it_goes_on_after_a_restart_with_its_figures) {
  begin(5);
  upload_files(in_, 3, false);
  reopen();
  EXPECT_EQ(view().figures.to.failed, 3);
  EXPECT_THAT(issue(in_).url.reveal(), HasSubstr(new_url));
  upload_files(in_, 1, false);
  ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  EXPECT_EQ(view().state, change_state::fallen_back);
  reopen();
  EXPECT_THAT(issue(in_).url.reveal(), HasSubstr(old_url));
  EXPECT_EQ(begin(5).figures.to.failed, 0) << "another change begins with nothing";
}

// The way back is in a transaction that has not ended, and nobody was told: the row's lock is all there is.
TEST_F(provider_changes_on_postgresql, a_grant_waits_for_a_way_back_that_is_being_committed_and_follows_it) {
  begin(5);
  ASSERT_TRUE(run(other_->provider_changes.load()));
  const auto answer = ask_across(*other_, in_, [&](sql::session& s) {
    auto row = sql::hold_provider_change(s, source_).value().value();
    row.state = "gone back";
    return sql::put_provider_change(s, row).has_value();
  });
  ASSERT_FALSE(answer.failure) << answer.failure->message();
  EXPECT_THAT(answer.url.reveal(), HasSubstr(old_url));
}

TEST_F(provider_changes_on_postgresql, what_one_begins_alters_and_ends_the_other_hears_of) {
  const auto grants_by = [&](const std::string& url) {
    return until([&] { return issue_at(*other_, out_, std::to_string(asked_)).url.reveal().starts_with(url); });
  };
  begin(100);
  EXPECT_TRUE(grants_by(new_url));
  EXPECT_TRUE(until([&] { return run(other_->provider_changes.get("default"))->percent == 100; }));
  upload_files(out_, 4, false);
  EXPECT_TRUE(until([&] { return view().state == change_state::fallen_back; })) << "one of them, by itself";
  EXPECT_TRUE(grants_by(old_url));
  EXPECT_EQ(audited(action::service_fall_back).size(), 1u);
}

}  // namespace
}  // namespace evp::backend
