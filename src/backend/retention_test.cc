// What the ledger forgets, and what it never does.
#include "backend/test_world.h"

namespace evp::backend {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct retention_test : world {
  upload add(std::optional<upload_state> end = {}, milliseconds lives = seconds(120),
             verification verify = verification::head) {
    auto u = new_upload();
    u.verify = verify;
    u.expires_at = clock_.now() + lives;
    EXPECT_TRUE(run(b_->ledger.issue(u)).value());
    if (end) { EXPECT_TRUE(run(b_->ledger.settle({.grant_id = u.grant_id, .state = *end}))); }
    clock_.advance(milliseconds(1));  // ids sort by it
    return u;
  }
  std::size_t forget(milliseconds retention) { return run(b_->ledger.forget(clock_.now() - retention)).value(); }
  std::vector<std::string> left() {
    std::vector<std::string> out;
    const auto found = run(b_->ledger.list({}, {})).value();
    for (const auto& u : found.items) out.insert(out.begin(), u.grant_id);
    return out;
  }
};

TEST_F(retention_test, what_has_ended_long_ago_goes_with_its_events_and_what_is_open_stays) {
  const auto issued = add();
  add(upload_state::verified);
  const auto checked_yet = add(upload_state::uploaded);
  add(upload_state::failed);
  add(upload_state::expired);
  add(upload_state::uploaded, seconds(120), verification::none);
  clock_.advance(std::chrono::hours(2));
  const auto fresh = add(upload_state::verified);
  EXPECT_EQ(forget(std::chrono::hours(3)), 0u);
  EXPECT_EQ(forget(std::chrono::hours(1)), 4u);
  EXPECT_THAT(left(), ElementsAre(issued.grant_id, checked_yet.grant_id, fresh.grant_id));
  std::vector<std::uint64_t> numbers;
  const auto kept = run(b_->ledger.events({}, 0)).value();
  for (const auto& e : kept.events) numbers.push_back(e.sequence);
  EXPECT_THAT(numbers, ElementsAre(1, 4, 5, 12, 13));
  EXPECT_EQ(run(b_->ledger.sequence()).value().forgotten, 11);
  EXPECT_THAT(run(b_->ledger.count()).value(), ElementsAre(1, 1, 1, 0, 0))
      << "issued, uploaded, verified, failed, expired";
}

TEST_F(retention_test, a_grant_that_still_lives_stays_whatever_its_state) {
  const auto alive = add(upload_state::expired, std::chrono::hours(48));
  clock_.advance(std::chrono::hours(24));
  EXPECT_EQ(forget(std::chrono::hours(1)), 0u);
  EXPECT_THAT(left(), ElementsAre(alive.grant_id));
}

TEST_F(retention_test, a_change_since_counts_not_the_issue) {
  const auto u = add();
  clock_.advance(std::chrono::hours(24));
  EXPECT_TRUE(run(b_->ledger.settle({.grant_id = u.grant_id, .state = upload_state::verified})));
  EXPECT_EQ(forget(std::chrono::hours(1)), 0u);
  clock_.advance(std::chrono::hours(2));
  EXPECT_EQ(forget(std::chrono::hours(1)), 1u);
}

TEST_F(retention_test, what_a_hook_is_still_to_be_told_of_stays_until_it_was) {
  ASSERT_TRUE(run(b_->hooks.put("a", {.url = "https://a.example/", .key = secret(std::string(32, 'k'))})));
  const auto u = add(upload_state::verified);  // the test has no network
  clock_.advance(std::chrono::hours(2));
  EXPECT_EQ(forget(std::chrono::hours(1)), 0u);
  ASSERT_TRUE(run(b_->hooks.remove("a")));
  EXPECT_EQ(forget(std::chrono::hours(1)), 1u);
}

TEST_F(retention_test, one_step_is_bounded) {
  for (std::size_t i = 0; i < ledger::max_forgotten + 5; ++i) add(upload_state::failed);
  clock_.advance(std::chrono::hours(2));
  EXPECT_EQ(forget(std::chrono::hours(1)), ledger::max_forgotten);
  EXPECT_EQ(forget(std::chrono::hours(1)), 5u);
  EXPECT_THAT(left(), IsEmpty());
}

TEST_F(retention_test, who_comes_back_too_late_is_told_of_the_gap) {
  add(upload_state::verified);
  clock_.advance(std::chrono::hours(2));
  add();
  EXPECT_EQ(forget(std::chrono::hours(1)), 1u);
  const auto gap = [&](std::uint64_t after) {
    return run(upload_watch::open(b_->ledger, b_->watches, {}, after, milliseconds(1))).value()->has_gap();
  };
  EXPECT_TRUE(gap(1));
  EXPECT_FALSE(gap(2));
}

}  // namespace
}  // namespace evp::backend
