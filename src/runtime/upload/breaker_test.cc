// The circuit breaker and the windows of the day, in invented time.
#include "runtime/upload/breaker.h"

#include <gmock/gmock.h>

#include "runtime/upload/schedule.h"

namespace evp::runtime::upload {
namespace {

using namespace std::chrono_literals;

struct breaker_test : testing::Test {
  void fail(unsigned times) {
    for (unsigned i = 0; i < times; ++i) b.failed(p, now, random);
  }
  breaker_policy p;
  breaker b;
  steady_time now{1h};
  std::mt19937_64 random{1};
};

TEST_F(breaker_test, single_failures_leave_it_closed) {
  for (int i = 0; i < 20; ++i) {
    fail(p.failures - 1);
    b.answered(p, now);
  }
  EXPECT_FALSE(b.refuses(p, now));
}

TEST_F(breaker_test, failures_in_a_row_open_it_and_one_probe_goes_through_after_the_wait) {
  fail(p.failures);
  ASSERT_TRUE(b.refuses(p, now));
  EXPECT_GE(*b.refuses(p, now), now + p.open_first / 2);
  EXPECT_LE(*b.refuses(p, now), now + p.open_first);
  now += p.open_first;
  EXPECT_FALSE(b.refuses(p, now));
  EXPECT_EQ(b.refuses(p, now), now + p.probe_wait) << "a second one waits for the first";
  b.answered(p, now);
  EXPECT_FALSE(b.refuses(p, now));
}

TEST_F(breaker_test, a_probe_that_ends_without_a_word_of_the_storage_makes_room_for_another_one) {
  fail(p.failures);
  now += p.open_first;
  ASSERT_FALSE(b.refuses(p, now));
  b.learnt_nothing();
  EXPECT_FALSE(b.refuses(p, now));
}

TEST_F(breaker_test, probes_that_fail_come_ever_more_rarely_up_to_a_bound) {
  fail(p.failures);
  milliseconds last{0};
  for (int i = 0; i < 12; ++i) {
    const auto until = *b.refuses(p, now);
    last = std::chrono::ceil<milliseconds>(until - now);
    now = until;
    ASSERT_FALSE(b.refuses(p, now));
    fail(1);
  }
  EXPECT_GE(last, p.open_max / 2);
  EXPECT_LE(last, p.open_max);
}

TEST_F(breaker_test, a_storage_that_flaps_keeps_its_long_waits_until_it_was_healthy_for_a_while) {
  const auto wait_after_failures = [&] {
    fail(p.failures);
    const auto until = *b.refuses(p, now);
    const auto wait = until - now;
    now = until;
    EXPECT_FALSE(b.refuses(p, now));
    return wait;
  };
  for (int i = 0; i < 4; ++i) {
    wait_after_failures();
    b.answered(p, now);
  }
  EXPECT_GE(wait_after_failures(), 4 * p.open_first);
  b.answered(p, now);
  now += p.grace;
  b.answered(p, now);
  EXPECT_TRUE(b.is_new());
  EXPECT_LE(wait_after_failures(), p.open_first);
}

timestamp at(int hours, int minutes) {
  return timestamp(std::chrono::sys_days(std::chrono::year(2026) / 11 / 22)) + std::chrono::hours(hours) +
         std::chrono::minutes(minutes);
}

TEST(schedule, without_windows_it_is_always_open) {
  EXPECT_TRUE(schedule().is_open(at(3, 0)));
  EXPECT_EQ(schedule().until_open(at(3, 0)), 0ms);
}

TEST(schedule, windows_may_reach_over_midnight_and_the_next_one_counts) {
  const auto s = *schedule::parse("22:00-06:00,12:00-13:30");
  EXPECT_TRUE(s.is_open(at(23, 59)));
  EXPECT_TRUE(s.is_open(at(0, 0)));
  EXPECT_FALSE(s.is_open(at(6, 0)));
  EXPECT_EQ(s.until_open(at(6, 0)), 6h);
  EXPECT_TRUE(s.is_open(at(13, 29)));
  EXPECT_EQ(s.until_open(at(13, 30)), 8h + 30min);
}

TEST(schedule, what_is_no_window_is_refused) {
  for (const char* bad : {"22:00", "22:00-24:00", "1:00-2:00", "22:00-22:00", "01:00-02:00,", "aa:00-02:00"}) {
    const bool trailing = std::string_view(bad).ends_with(',');  // an empty last entry is no entry
    EXPECT_EQ(schedule::parse(bad).has_value(), trailing) << bad;
  }
}

}  // namespace
}  // namespace evp::runtime::upload
