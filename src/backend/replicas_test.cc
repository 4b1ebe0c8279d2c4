// Two backends on one database: what one changes, the other grants by at once.
#include "backend/test_replicas.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;

struct replicas_test : two_backends, testing::WithParamInterface<const char*> {
  void SetUp() override { open_both(sql::new_database(GetParam(), folder_.path())); }
  static service_input moved() {
    auto in = input();
    in.options["endpoint"] = secret("https://elsewhere.example");
    return in;
  }
};

INSTANTIATE_TEST_SUITE_P(, replicas_test, sql::on_both, sql::name_of_database);

TEST_P(replicas_test, a_changed_service_signs_the_very_next_grant_of_the_other) {
  ASSERT_THAT(issue(*other_, ask("1")).url.reveal(), HasSubstr("https://storage.example/"));
  ASSERT_TRUE(run(b_->services.replace("default", moved())));
  const auto g = issue(*other_, ask("2"));
  ASSERT_FALSE(g.failure) << g.failure->message();
  EXPECT_THAT(g.url.reveal(), HasSubstr("https://elsewhere.example/"));
  EXPECT_EQ(other_->services.get("default")->revision, 2);
  EXPECT_EQ(run(b_->ledger.list({}, {})).value().items.size(), 2U) << "what the stale one signed has no row";
  EXPECT_EQ(cloud_.retired, 1 + 1) << "the stale one here, the replaced one there";
}

TEST_P(replicas_test, a_removed_service_signs_nothing_any_more) {
  ASSERT_FALSE(issue(*other_, ask("1")).failure);
  ASSERT_TRUE(run(b_->services.remove("default")));
  EXPECT_EQ(issue(*other_, ask("2")).failure->code(), errc::not_found);
  EXPECT_TRUE(other_->services.list().empty());
}

TEST_P(replicas_test, one_that_was_removed_and_made_again_is_another) {
  ASSERT_TRUE(run(b_->services.remove("default")));
  ASSERT_TRUE(run(b_->services.create(moved())));
  EXPECT_THAT(issue(*other_, ask("1")).url.reveal(), HasSubstr("https://elsewhere.example/"));
}

TEST_P(replicas_test, a_new_service_is_found_and_an_unknown_name_is_looked_up_once_a_second_at_most) {
  ASSERT_TRUE(run(b_->services.create(input("archive"))));
  auto r = ask("1");
  r.key = "archive";
  EXPECT_FALSE(issue(*other_, r).failure);
  ASSERT_TRUE(run(b_->services.create(input("second"))));
  r = ask("2");
  r.key = "second";
  EXPECT_EQ(issue(*other_, r).failure->code(), errc::not_found) << "just looked";
  clock_.advance(seconds(1));
  r.reqid = "3";
  EXPECT_FALSE(issue(*other_, r).failure);
}

TEST_P(replicas_test, parts_of_a_changed_service_are_not_signed_any_more) {
  cloud_.takes_parts = true;
  ASSERT_TRUE(run(b_->services.replace("default", input())));
  auto r = ask("1");
  r.size = 100ULL << 20;
  r.accept.push_back("plan/1");
  const auto g = issue(*other_, r);
  ASSERT_TRUE(g.plan) << (g.failure ? g.failure->message() : "no plan");
  ASSERT_TRUE(run(b_->services.replace("default", moved())));
  const auto more = run(other_->grants.renew("cam-1", {"2", g.grant_id, 1, 1}));
  ASSERT_TRUE(more.failure);
  EXPECT_EQ(more.failure->code(), errc::not_found);
}

TEST_P(replicas_test, two_changes_at_once_are_one_change_and_one_refusal) {
  ASSERT_TRUE(run(b_->services.replace("default", moved())));
  const auto late = run(other_->services.replace("default", input()));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), errc::failed_precondition);
  ASSERT_TRUE(run(other_->services.refresh()));
  EXPECT_TRUE(run(other_->services.replace("default", input())));
}

// On SQLite the other is told of nothing: the ledger knows all the same.
TEST_P(replicas_test, a_device_that_one_has_blocked_or_removed_gets_nothing_from_the_other) {
  ASSERT_TRUE(run(block_device(*b_, "cam-1")));
  EXPECT_EQ(issue(*other_, ask("1")).failure->code(), errc::permission_denied);
  ASSERT_TRUE(run(b_->devices.unblock("cam-1")));
  add_device("cam-2");
  ASSERT_TRUE(run(b_->remove_device("cam-1")));
  const auto refused = issue(*other_, ask("2"));
  EXPECT_EQ(refused.failure->code(), errc::permission_denied);
  EXPECT_TRUE(run(b_->ledger.list({}, {})).value().items.empty());
}

}  // namespace
}  // namespace evp::backend
