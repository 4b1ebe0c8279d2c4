// Changes of the ledger, followed as they happen: in order, from any position, bounded.
#include "backend/upload_watch.h"

#include "backend/test_world.h"

namespace evp::backend {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct upload_watch_test : world {
  std::string add(const std::string& device = "cam-1") {
    auto u = new_upload();
    u.device = device;
    if (!b_->devices.exists(device)) add_device(device);
    EXPECT_TRUE(run(b_->ledger.issue(u)).value());
    return u.grant_id;
  }
  void settle(const std::string& grant, upload_state s) {
    EXPECT_TRUE(run(b_->ledger.settle({.grant_id = grant, .state = s})));
  }
  std::shared_ptr<upload_watch> watch(std::optional<std::uint64_t> after = {}, upload_filter f = {}) {
    return run(upload_watch::open(b_->ledger, b_->watches, std::move(f), after, milliseconds(50))).value();
  }
  static std::string words(const upload_watch::step& s) {
    std::string out;
    for (const auto& e : s.events)
      out += std::to_string(e.sequence) + " " + e.what.device + " " + std::string(to_string(e.what.state)) + "; ";
    return out;
  }
  std::string next(upload_watch& w) {
    const auto step = run(w.next()).value();
    return step ? words(*step) : "over";
  }
};

TEST_F(upload_watch_test, each_change_of_a_state_is_one_event_in_order) {
  const auto w = watch();
  const auto one = add();
  settle(one, upload_state::uploaded);
  settle(one, upload_state::uploaded);  // a repeated report changes nothing
  settle(one, upload_state::verified);
  settle(one, upload_state::failed);  // final
  EXPECT_EQ(next(*w), "1 cam-1 issued; 2 cam-1 uploaded; 3 cam-1 verified; ");
  EXPECT_EQ(next(*w), "");
}

TEST_F(upload_watch_test, a_position_goes_on_where_another_stopped_also_after_a_restart) {
  const auto one = add();
  std::uint64_t reached = 0;
  {
    const auto w = watch(0);
    EXPECT_EQ(next(*w), "1 cam-1 issued; ");
    reached = w->position();
  }
  settle(one, upload_state::expired);
  reopen();
  EXPECT_EQ(next(*watch(reached)), "2 cam-1 expired; ");
  settle(one, upload_state::verified);
  EXPECT_EQ(next(*watch(2)), "3 cam-1 verified; ");
  EXPECT_EQ(next(*watch()), "");
}

TEST_F(upload_watch_test, a_change_wakes_who_waits) {
  const auto w = run(upload_watch::open(b_->ledger, b_->watches, {}, {}, std::chrono::hours(1))).value();
  std::string seen;
  auto follow = [](upload_watch& who, std::string& into) -> io::task<void> {
    const auto step = co_await who.next();
    if (step && *step) into = words(**step);
  };
  io::group tasks(ctx_.get_executor());
  tasks.spawn(follow(*w, seen));
  EXPECT_TRUE(run(io::sleep_for(milliseconds(20))));
  EXPECT_EQ(seen, "");
  add();
  const auto end = std::chrono::steady_clock::now() + seconds(60);
  while (seen.empty() && std::chrono::steady_clock::now() < end) EXPECT_TRUE(run(io::sleep_for(milliseconds(10))));
  EXPECT_EQ(seen, "1 cam-1 issued; ");
}

TEST_F(upload_watch_test, a_filter_lets_its_own_through_and_the_position_moves_on_over_the_rest) {
  for (int i = 0; i < 150; ++i) add("cam-2");
  const auto one = add("cam-1");
  settle(one, upload_state::failed);
  const auto w = watch(0, {.device = "cam-1", .state = upload_state::failed});
  EXPECT_EQ(next(*w), "152 cam-1 failed; ");
  const auto none = watch(0, {.service = "other"});
  EXPECT_EQ(next(*none), "");
  EXPECT_EQ(none->position(), 152u);
}

TEST_F(upload_watch_test, one_read_is_bounded_and_the_rest_follows) {
  for (int i = 0; i < 130; ++i) add();
  const auto w = watch(0);
  EXPECT_EQ(run(w->next()).value()->events.size(), ledger::max_events);
  EXPECT_EQ(run(w->next()).value()->events.size(), 30u);
}

TEST_F(upload_watch_test, watches_are_bounded_and_their_place_comes_back) {
  std::vector<std::shared_ptr<upload_watch>> all;
  for (std::size_t i = 0; i < upload_watches::max_watches; ++i) all.push_back(watch());
  const auto one_more = run(upload_watch::open(b_->ledger, b_->watches, {}, {}, milliseconds(1)));
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code(), errc::rate_limited);
  EXPECT_TRUE(one_more.error().retry_after());
  all.pop_back();
  EXPECT_TRUE(watch());
}

TEST_F(upload_watch_test, a_number_that_was_never_given_is_refused) {
  add();
  const auto w = run(upload_watch::open(b_->ledger, b_->watches, {}, 2, milliseconds(1)));
  ASSERT_FALSE(w);
  EXPECT_EQ(w.error().field(), "Last-Event-ID");
}

TEST_F(upload_watch_test, all_watches_end_with_the_backend) {
  const auto w = watch();
  b_->end_watches();
  EXPECT_EQ(next(*w), "over");
}

}  // namespace
}  // namespace evp::backend
