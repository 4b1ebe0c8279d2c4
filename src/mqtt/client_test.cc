// The client against a real mosquitto.
#include "mqtt/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <vector>

#include "mqtt/test_broker.h"

namespace evp::mqtt {
namespace {

using namespace std::chrono_literals;

struct peer {
  explicit peer(io::asio::io_context& context, options o) {
    callbacks c;
    c.on_connected = [this] { ++connects; };
    c.on_disconnected = [this](const error& why) { errors.push_back(why); };
    c.on_message = [this](message m) { messages.push_back(std::move(m)); };
    mqtt = std::make_unique<client>(context.get_executor(), std::move(o), std::move(c));
  }
  int connects = 0;
  std::vector<error> errors;
  std::vector<message> messages;
  std::unique_ptr<client> mqtt;
};

class client_test : public testing::Test {
 protected:
  options settings() const {
    options o;
    o.port = broker_.port();
    o.reconnect_min = 20ms;
    o.reconnect_max = 100ms;
    return o;
  }
  template <class F>
  bool until(F condition, std::chrono::seconds limit = 60s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      if (context_.stopped()) context_.restart();
      context_.run_one_for(20ms);
    }
    return condition();
  }
  template <class T>
  T await(io::task<T> task) {
    std::optional<T> answer;
    io::asio::co_spawn(context_, std::move(task),
                       [&](std::exception_ptr, T value) { answer.emplace(std::move(value)); });
    until([&] { return answer.has_value(); });
    return std::move(answer.value());
  }
  void stop(client& c, milliseconds grace = 5s) {
    bool done = false;
    io::asio::co_spawn(context_, c.stop(grace), [&](std::exception_ptr) { done = true; });
    EXPECT_TRUE(until([&] { return done; }));
  }

  test_broker broker_;
  io::asio::io_context context_;
};

class every_quality_and_version : public client_test, public testing::WithParamInterface<std::tuple<bool, int>> {};

TEST_P(every_quality_and_version, messages_arrive_in_order) {
  const auto [version5, qos] = GetParam();
  broker_.start();
  auto o = settings();
  o.version5 = version5;
  peer p(context_, o);
  p.mqtt->subscribe("a/+", 1);
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.connects == 1; }));
  const std::string bytes("\0binary\xff", 8);
  ASSERT_TRUE(p.mqtt->publish("a/0", bytes, qos));
  for (int i = 1; i < 500; ++i) ASSERT_TRUE(p.mqtt->publish("a/" + std::to_string(i), "x", qos));
  ASSERT_TRUE(until([&] { return p.messages.size() == 500; })) << p.messages.size();
  EXPECT_EQ(p.messages[0].payload, bytes);
  for (std::size_t i = 0; i < 500; ++i) EXPECT_EQ(p.messages[i].topic, "a/" + std::to_string(i));
  EXPECT_TRUE(until([&] { return p.mqtt->queued_bytes() == 0; }));
}
INSTANTIATE_TEST_SUITE_P(client, every_quality_and_version, testing::Combine(testing::Bool(), testing::Values(0, 1)));

TEST_F(client_test, it_returns_after_a_restart_of_the_broker_with_its_subscriptions) {
  broker_.start();
  peer p(context_, settings());
  p.mqtt->subscribe("t", 0);
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.connects == 1; }));
  p.mqtt->subscribe("late", 1);
  const auto before = p.errors.size();
  broker_.stop();
  ASSERT_TRUE(until([&] { return p.errors.size() >= before + 2; }));
  EXPECT_FALSE(p.mqtt->connected());
  EXPECT_EQ(p.errors.back().code(), errc::unavailable);
  EXPECT_EQ(p.mqtt->publish("t", "x").error().code(), errc::unavailable);
  broker_.start();
  ASSERT_TRUE(until([&] { return p.connects == 2; }));
  ASSERT_TRUE(p.mqtt->publish("t", "1"));
  ASSERT_TRUE(p.mqtt->publish("late", "2"));
  EXPECT_TRUE(until([&] { return p.messages.size() == 2; }));
}

TEST_F(client_test, a_broker_that_is_not_there_is_reported_and_tried_again) {
  peer p(context_, settings());
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.errors.size() >= 2; }));
  EXPECT_THAT(p.errors[0].message(), testing::HasSubstr("Connection refused"));
  broker_.start();
  EXPECT_TRUE(until([&] { return p.connects == 1; }));
}

TEST_F(client_test, refused_credentials_are_unauthenticated) {
  test_broker strict("allow_anonymous false\n");
  strict.start();
  for (const bool version5 : {false, true}) {
    auto o = settings();
    o.port = strict.port();
    o.version5 = version5;
    o.username = "nobody";
    o.password = secret("a-password-that-must-not-appear");
    peer p(context_, o);
    p.mqtt->start();
    const auto refused = [&] { return !p.errors.empty() && p.errors.back().code() == errc::unauthenticated; };
    ASSERT_TRUE(until(refused));
    EXPECT_EQ(p.connects, 0);
    EXPECT_THAT(p.errors.back().message(), testing::Not(testing::HasSubstr("must-not-appear")));
  }
}

TEST_F(client_test, an_acknowledged_publish_returns_only_after_the_broker_has_it) {
  broker_.start();
  peer p(context_, settings());
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.connects == 1; }));
  EXPECT_TRUE(await(p.mqtt->publish_acknowledged("t", "x")));

  broker_.freeze();
  std::optional<result<void>> answer;
  auto keep = [&](std::exception_ptr, result<void> r) { answer.emplace(std::move(r)); };
  io::asio::co_spawn(context_, p.mqtt->publish_acknowledged("t", "y"), keep);
  EXPECT_FALSE(until([&] { return answer.has_value(); }, 1s));
  broker_.stop();
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  EXPECT_EQ(answer->error().code(), errc::unavailable);
}

TEST_F(client_test, a_publish_of_quality_1_survives_a_restart_of_the_broker) {
  broker_.start();
  peer p(context_, settings());
  p.mqtt->subscribe("t", 1);
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.connects == 1; }));
  broker_.freeze();
  ASSERT_TRUE(p.mqtt->publish("t", "kept", 1));
  broker_.stop();
  ASSERT_TRUE(until([&] { return !p.mqtt->connected(); }));
  broker_.start();
  ASSERT_TRUE(until([&] { return p.connects == 2 && p.mqtt->queued_bytes() == 0; }));
}

TEST_F(client_test, the_queue_is_bounded_while_the_broker_does_not_read) {
  broker_.start();
  auto o = settings();
  o.max_queued_bytes = 1 << 20;
  peer p(context_, o);
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.connects == 1; }));
  broker_.freeze();
  const std::string block(100'000, 'x');
  result<void> last;
  for (int i = 0; i < 200 && last; ++i) last = p.mqtt->publish("t", block);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code(), errc::rate_limited);
  EXPECT_LE(p.mqtt->queued_bytes(), std::size_t(1 << 20));
  broker_.thaw();
  EXPECT_TRUE(until([&] { return p.mqtt->queued_bytes() == 0; }));
  EXPECT_TRUE(p.mqtt->publish("t", block));
}

TEST_F(client_test, what_can_never_be_sent_is_refused_with_its_reason) {
  broker_.start();
  auto o = settings();
  o.max_payload_bytes = 10;
  peer p(context_, o);
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.connects == 1; }));
  EXPECT_EQ(p.mqtt->publish("t", "12345678901").error().code(), errc::too_large);
  for (const char* topic : {"", "a/+", "a/#"})
    EXPECT_EQ(p.mqtt->publish(topic, "x").error().code(), errc::invalid_argument);
}

TEST_F(client_test, stop_sends_what_is_queued) {
  broker_.start();
  peer receiver(context_, settings());
  receiver.mqtt->subscribe("t", 0);
  receiver.mqtt->start();
  peer sender(context_, settings());
  sender.mqtt->start();
  ASSERT_TRUE(until([&] { return sender.connects == 1 && receiver.connects == 1; }));
  ASSERT_TRUE(await(receiver.mqtt->publish_acknowledged("other", "")));  // the subscription is in force
  const std::string block(50'000, 'x');
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(sender.mqtt->publish("t", block, i % 2));
  const auto before = sender.errors.size();
  stop(*sender.mqtt);
  EXPECT_FALSE(sender.mqtt->connected());
  EXPECT_TRUE(until([&] { return receiver.messages.size() == 100; })) << receiver.messages.size();
  EXPECT_EQ(sender.errors.size(), before) << "a stop that was asked for is no error";
}

TEST_F(client_test, stop_and_destruction_are_prompt_at_any_time) {
  peer never_started(context_, settings());
  stop(*never_started.mqtt);
  peer waiting(context_, settings());
  waiting.mqtt->start();
  ASSERT_TRUE(until([&] { return !waiting.errors.empty(); }));
  stop(*waiting.mqtt);
  peer connecting(context_, settings());
  connecting.mqtt->start();
  connecting.mqtt.reset();
  peer stopped_while_connecting(context_, settings());
  stopped_while_connecting.mqtt->start();
  stop(*stopped_while_connecting.mqtt);
}

TEST_F(client_test, a_callback_may_destroy_the_client) {
  broker_.start();
  std::unique_ptr<client> own;
  callbacks c;
  c.on_connected = [&] { EXPECT_TRUE(own->publish("t", "x")); };
  c.on_message = [&](message) { own.reset(); };
  own = std::make_unique<client>(context_.get_executor(), settings(), c);
  own->subscribe("t", 0);
  own->start();
  EXPECT_TRUE(until([&] { return own == nullptr; }));
}

TEST_F(client_test, a_silent_broker_is_noticed_by_the_keepalive) {
  broker_.start();
  auto o = settings();
  o.keepalive = 5s;
  peer p(context_, o);
  p.mqtt->start();
  ASSERT_TRUE(until([&] { return p.connects == 1; }));
  const auto before = p.errors.size();  // of attempts before the broker listened
  broker_.freeze();
  ASSERT_TRUE(until([&] { return p.errors.size() > before; }));
  EXPECT_EQ(p.errors[before].code(), errc::unavailable);
}

}  // namespace
}  // namespace evp::mqtt
