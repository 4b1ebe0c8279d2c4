#include "mqtt/backoff.h"

#include <gtest/gtest.h>

namespace evp::mqtt {
namespace {

TEST(backoff, the_bound_doubles_up_to_the_maximum_and_waits_stay_below_it) {
  backoff wait(milliseconds(100), milliseconds(1000), 1);
  for (const int bound : {100, 200, 400, 800, 1000, 1000, 1000}) {
    const auto drawn = wait.next();
    EXPECT_GE(drawn.count(), 0);
    EXPECT_LE(drawn.count(), bound);
  }
}

TEST(backoff, waits_of_a_fleet_spread_over_the_whole_range) {
  int low = 0, high = 0;
  for (int device = 0; device < 1000; ++device) {
    const auto drawn = backoff(milliseconds(1000), milliseconds(1000), static_cast<std::uint64_t>(device)).next();
    low += drawn < milliseconds(500);
    high += drawn >= milliseconds(500);
  }
  EXPECT_GT(low, 400);
  EXPECT_GT(high, 400);
}

TEST(backoff, a_healthy_connection_starts_it_anew) {
  backoff wait(milliseconds(1), milliseconds(1'000'000), 7);
  for (int i = 0; i < 15; ++i) wait.next();
  wait.reset();
  EXPECT_LE(wait.next().count(), 1);
}

}  // namespace
}  // namespace evp::mqtt
