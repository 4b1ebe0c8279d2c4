#include "backend/device_sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace evp::backend {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct device_sessions_test : testing::Test {
  void began(const std::string& device, std::size_t broker, std::uint64_t number, int at) {
    sessions_.began(device, {broker, number, steady_time(seconds(at))});
  }
  /// "cam-1: 0/17" for each session that ought to end.
  std::vector<std::string> elders(std::size_t limit = 100) const {
    std::vector<std::string> out;
    for (const auto& e : sessions_.elders(limit))
      out.push_back(e.device + ": " + std::to_string(e.session.broker) + "/" + std::to_string(e.session.number));
    return out;
  }
  device_sessions sessions_;
};

TEST_F(device_sessions_test, the_one_that_began_last_counts_in_whatever_order_they_are_told) {
  began("a", 0, 17, 100);
  EXPECT_EQ(sessions_.present("a")->broker, 0u);
  EXPECT_FALSE(sessions_.has_elders());
  began("a", 1, 5, 200);
  EXPECT_EQ(sessions_.present("a")->broker, 1u);
  EXPECT_THAT(elders(), ElementsAre("a: 0/17"));
  began("a", 2, 9, 150);
  EXPECT_EQ(sessions_.present("a")->broker, 1u) << "told last, but begun before";
  EXPECT_THAT(elders(), ElementsAre("a: 0/17", "a: 2/9"));
  EXPECT_EQ(sessions_.present("b"), nullptr);
}

TEST_F(device_sessions_test, a_new_session_at_the_same_broker_takes_the_place_of_the_old_one) {
  began("a", 0, 17, 100);
  began("a", 1, 5, 200);
  began("a", 0, 18, 300);
  EXPECT_EQ(sessions_.present("a")->number, 18u);
  EXPECT_THAT(elders(), ElementsAre("a: 1/5"));
}

TEST_F(device_sessions_test, the_end_of_one_that_was_replaced_ends_nothing) {
  began("a", 0, 17, 100);
  began("a", 0, 18, 200);
  EXPECT_FALSE(sessions_.ended("a", 0, 17));
  EXPECT_EQ(sessions_.present("a")->number, 18u);
  EXPECT_TRUE(sessions_.ended("a", 0, 18));
  EXPECT_EQ(sessions_.present("a"), nullptr);
  EXPECT_TRUE(sessions_.ended("never seen", 0, 1));
}

TEST_F(device_sessions_test, the_end_of_the_elder_one_leaves_the_device_where_it_is) {
  began("a", 0, 17, 100);
  began("a", 1, 5, 200);
  EXPECT_FALSE(sessions_.ended("a", 0, 17));
  EXPECT_EQ(sessions_.present("a")->broker, 1u);
  EXPECT_FALSE(sessions_.has_elders());
}

TEST_F(device_sessions_test, a_broker_that_is_lost_takes_its_sessions_along) {
  began("a", 0, 1, 100);
  began("b", 0, 2, 100);
  began("b", 1, 3, 50);
  began("c", 1, 4, 100);
  EXPECT_THAT(sessions_.lost(0), ElementsAre("a"));
  EXPECT_EQ(sessions_.present("b")->broker, 1u);
  EXPECT_FALSE(sessions_.has_elders());
  EXPECT_THAT(sessions_.lost(1), UnorderedElementsAre("b", "c"));
  EXPECT_THAT(sessions_.lost(1), IsEmpty());
}

TEST_F(device_sessions_test, no_more_are_given_at_once_than_wanted) {
  for (const auto* device : {"a", "b", "c"})
    for (std::size_t broker = 0; broker < 3; ++broker) began(device, broker, 1, int(broker));
  EXPECT_THAT(elders(3), ElementsAre("a: 0/1", "a: 1/1", "b: 0/1"));
  EXPECT_EQ(elders().size(), 6u);
}

}  // namespace
}  // namespace evp::backend
