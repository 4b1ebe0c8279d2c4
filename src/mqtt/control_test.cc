#include "mqtt/control.h"

#include <gtest/gtest.h>

#include "base/crypto.h"

namespace evp::mqtt::control {
namespace {

TEST(control, a_batch_survives_the_journey) {
  const batch sent{17,
                   {replace_begin{}, set_device{"cam-1", sha256("token"), false}, set_device{"cam-2", "", true},
                    replace_end{}, remove_device{"cam-3"}, kick_device{"cam-4"}, kick_device{"cam-5", 7},
                    set_observer{sha256("o")}, revoke_certificate{sha256("c")}, restore_certificate{sha256("d")}}};
  const auto received = decode(encode(sent));
  ASSERT_TRUE(received) << received.error().message();
  EXPECT_EQ(*received, sent);
  EXPECT_EQ(*decode("batch 0\n"), batch{});
}

TEST(control, whatever_is_not_exactly_a_batch_is_refused_with_its_line) {
  const std::string hash = std::string(64, '0'), head = "batch 1\n";
  for (const auto& bad : {std::string(),
                          std::string("set a - -\n"),
                          std::string("batch x\n"),
                          std::string("batch 1"),
                          std::string("batch 18446744073709551616\n"),
                          head + "set a - -",
                          head + "set a -\n",
                          head + "set a - x\n",
                          head + "set a 00 -\n",
                          head + "set a/b - -\n",
                          head + "set $backend - -\n",
                          head + "set  - -\n",
                          head + "set a " + hash + "00 -\n",
                          head + "remove\n",
                          head + "remove a b\n",
                          head + "kick #\n",
                          head + "kick a -1\n",
                          head + "kick a 1 2\n",
                          head + "observer\n",
                          head + "observer 00\n",
                          head + "observer -\n",
                          head + "revoke\n",
                          head + "revoke 00\n",
                          head + "revoke " + hash + " b\n",
                          head + "restore -\n",
                          head + "replace\n",
                          head + "\n",
                          head + head}) {
    const auto r = decode(bad);
    ASSERT_FALSE(r) << bad;
    EXPECT_EQ(r.error().code(), errc::invalid_argument) << bad;
  }
  EXPECT_NE(decode(head + "kick a\nnonsense\n").error().message().find("line 3"), std::string::npos);
  EXPECT_EQ(decode(std::string(message_max_bytes + 1, 'x')).error().code(), errc::too_large);
}

TEST(control, a_large_fleet_is_divided_into_batches_that_fit) {
  std::vector<command> fleet{replace_begin{}};
  for (int i = 0; i < 10'000; ++i)
    fleet.emplace_back(set_device{"device-" + std::to_string(i), sha256(std::to_string(i)), i % 2 == 0});
  fleet.emplace_back(replace_end{});
  const auto messages = encode_all(5, fleet);
  EXPECT_GT(messages.size(), 5u);
  std::vector<command> together;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    EXPECT_LE(messages[i].size(), message_max_bytes);
    const auto one = decode(messages[i]);
    ASSERT_TRUE(one);
    EXPECT_EQ(one->number, 5 + i);
    together.insert(together.end(), one->commands.begin(), one->commands.end());
  }
  EXPECT_EQ(together, fleet);
}

TEST(control, presence_names_the_session_and_its_age) {
  for (const auto& sent : {presence{true, 1'764'000'000'000'017, milliseconds(1500)}, presence{false, 17}})
    EXPECT_EQ(*decode_presence(encode(sent)), sent);
  for (const auto* bad : {"", "online 1", "online 1 -2", "online x 1", "offline 1 2", "offline ", "away", "away 1"})
    EXPECT_FALSE(decode_presence(bad)) << bad;
  EXPECT_EQ(*decode_presence("online"), (presence{true, 0})) << "of a plugin that does not number sessions";
  EXPECT_EQ(*decode_presence("offline"), (presence{false, 0}));
  EXPECT_LT(decode_presence("online 1 18446744073709551615")->age, std::chrono::years(101));
}

TEST(control, acknowledgements_carry_success_or_the_problem) {
  for (const auto& sent : {acknowledgement{3, ""}, acknowledgement{4, "line 2: no such command"}})
    EXPECT_EQ(*decode_acknowledgement(encode(sent)), sent);
  EXPECT_FALSE(decode_acknowledgement("ok"));
  EXPECT_FALSE(decode_acknowledgement("x ok"));
}

}  // namespace
}  // namespace evp::mqtt::control
