// Topics of the protocol, and what is none.
#include <gtest/gtest.h>

#include "wire/messages.h"

namespace evp::wire {
namespace {

TEST(topics, each_topic_of_the_protocol_survives_a_round_trip) {
  for (const std::string text : {"v1/devices/me/attributes", "v1/devices/me/telemetry",
                                 "v1/devices/me/attributes/request/10000", "v1/devices/me/attributes/response/10000",
                                 "v1/devices/me/rpc/request/1", "v1/devices/me/rpc/response/18446744073709551615"}) {
    auto t = parse_topic(text);
    ASSERT_TRUE(t) << text;
    EXPECT_EQ(to_string(*t), text);
  }
}

TEST(topics, the_id_of_a_request_is_read) {
  auto t = parse_topic("v1/devices/me/rpc/request/10006");
  ASSERT_TRUE(t);
  ASSERT_TRUE(std::holds_alternative<rpc_request>(*t));
  EXPECT_EQ(std::get<rpc_request>(*t).id, "10006");
}

TEST(topics, anything_else_is_refused) {
  for (const auto text :
       {"", "v1/devices/me", "v1/devices/me/attributes/", "v1/devices/me/rpc/request/", "v1/devices/me/rpc/request/1a",
        "v1/devices/me/rpc/request/-1", "v1/devices/me/rpc/request/123456789012345678901",
        "v1/devices/me/rpc/request/1/2", "v1/devices/you/attributes", "V1/devices/me/attributes"})
    EXPECT_FALSE(parse_topic(text)) << text;
}

}  // namespace
}  // namespace evp::wire
