// Which connection gives way to a newcomer.
#include "http/connections.h"

#include <gtest/gtest.h>

namespace evp::http {
namespace {

using std::chrono::seconds;

struct connections_test : testing::Test {
  connections all;
  std::string closed;  ///< names in order
  steady_time now{};

  connections::handle add(const std::string& name, const std::string& peer, stage at) {
    now += seconds(1);
    const auto made = all.add(
        peer, [this, name] { closed += name; }, now);
    connections::enter(made, at, now);
    return made;
  }
};

TEST_F(connections_test, of_one_address_the_one_that_waits_longest_gives_way) {
  add("a", "p", stage::idle);
  add("b", "p", stage::head);
  add("c", "p", stage::handshake);
  EXPECT_TRUE(all.displace());
  EXPECT_TRUE(all.displace());
  EXPECT_TRUE(all.displace());
  EXPECT_FALSE(all.displace());
  EXPECT_EQ(closed, "abc");
  EXPECT_EQ(all.counts.displaced, 3u);
}

TEST_F(connections_test, the_address_that_has_most_pays_also_for_the_older_ones_of_others) {
  add("a", "victim", stage::idle);
  add("x", "attacker", stage::head);
  add("y", "attacker", stage::head);
  EXPECT_TRUE(all.displace());
  EXPECT_EQ(closed, "x");
}

TEST_F(connections_test, what_is_worked_on_never_gives_way_and_a_body_only_where_nothing_else_waits) {
  add("w", "p", stage::work);
  add("b", "p", stage::body);
  add("h", "p", stage::head);
  EXPECT_TRUE(all.displace());
  EXPECT_TRUE(all.displace());
  EXPECT_FALSE(all.displace());
  EXPECT_EQ(closed, "hb");
}

TEST_F(connections_test, a_byte_now_and_then_makes_nobody_young_again) {
  const auto first = add("a", "p", stage::head);
  add("b", "p", stage::head);
  connections::enter(first, stage::head, now + seconds(10));
  EXPECT_TRUE(all.displace());
  EXPECT_EQ(closed, "a");
}

TEST_F(connections_test, one_that_was_closed_is_not_closed_again) {
  add("a", "p", stage::idle);
  const auto second = add("b", "p", stage::work);
  all.close_idle();
  EXPECT_FALSE(all.displace());
  all.remove(second);
  all.close_all();
  EXPECT_EQ(closed, "a");
}

}  // namespace
}  // namespace evp::http
