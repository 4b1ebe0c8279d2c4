// A hub for tests: a second client on a real mosquitto, on the device's own topics, that does what the test says.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>

#include "mqtt/client.h"
#include "mqtt/test_broker.h"
#include "runtime/instances.h"

namespace evp::runtime {

/// Runs the executor until the condition holds; false if it does not within a minute.
inline bool run_until(boost::asio::io_context& ctx, const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ctx.restart();
    ctx.run_one_for(std::chrono::milliseconds(50));
  }
  return true;
}

template <class T>
T run_task(boost::asio::io_context& ctx, io::task<T> t) {
  std::optional<T> out;
  boost::asio::co_spawn(ctx, std::move(t), [&](std::exception_ptr, T value) { out = std::move(value); });
  EXPECT_TRUE(run_until(ctx, [&] { return out.has_value(); }));
  return std::move(*out);
}
inline void run_task(boost::asio::io_context& ctx, io::task<void> t) {
  bool done = false;
  boost::asio::co_spawn(ctx, std::move(t), [&](std::exception_ptr) { done = true; });
  EXPECT_TRUE(run_until(ctx, [&] { return done; }));
}

class test_hub {
 public:
  test_hub(boost::asio::io_context& ctx, std::uint16_t port)
      : ctx_(ctx), client_(ctx.get_executor(), options_of(port), callbacks_of(this)) {
    client_.subscribe("v1/devices/me/#", 0);
    client_.start();
    EXPECT_TRUE(run_until(ctx_, [&] { return client_.connected(); }));
  }
  ~test_hub() { run_task(ctx_, client_.stop(milliseconds(200))); }

  /// The payload of the next message on that topic that contains the text; others are dropped. Empty: none came.
  std::string expect(std::string_view topic, std::string_view text = "") {
    std::string found;
    EXPECT_TRUE(run_until(ctx_,
                          [&] {
                            while (!seen_.empty()) {
                              auto m = std::move(seen_.front());
                              seen_.pop_front();
                              if (m.topic == topic && m.payload.find(text) != std::string::npos) {
                                found = std::move(m.payload);
                                return true;
                              }
                            }
                            return false;
                          }))
        << topic << " " << text;
    return found;
  }
  void publish(std::string_view topic, std::string_view payload) { ASSERT_TRUE(client_.publish(topic, payload, 0)); }
  void answer_get(std::string_view payload) {
    expect("v1/devices/me/attributes/request/10000");
    publish("v1/devices/me/attributes/response/10000", payload);
  }
  std::deque<mqtt::message>& seen() { return seen_; }

 private:
  static mqtt::options options_of(std::uint16_t port) {
    mqtt::options o;
    o.port = port;
    o.reconnect_min = milliseconds(20);
    o.reconnect_max = milliseconds(100);
    return o;
  }
  static mqtt::callbacks callbacks_of(test_hub* self) {
    mqtt::callbacks c;
    c.on_message = [self](mqtt::message m) { self->seen_.push_back(std::move(m)); };
    return c;
  }
  boost::asio::io_context& ctx_;
  std::deque<mqtt::message> seen_;
  mqtt::client client_;
};

/// Remembers what it is told.
class fake_instances final : public instances {
 public:
  void apply(wire::deployment wanted) override { applied.push_back(std::move(wanted)); }
  void configure(std::map<std::string, std::string> c) override { configurations.push_back(std::move(c)); }
  result<void> command(const wire::command_request& c, std::function<void(wire::command_response)> done) override {
    if (c.instance != "up") return fail(errc::not_found, "no instance " + c.instance);
    commands.push_back(c);
    wire::command_response r;
    r.reqid = c.reqid;
    r.response = "\"done\"";
    done(std::move(r));
    return {};
  }
  deployment_status status() const override { return now; }
  std::map<std::string, std::string> states() const override { return values; }
  void states_sent() override { ++sent; }

  std::vector<wire::deployment> applied;
  std::vector<std::map<std::string, std::string>> configurations;
  std::vector<wire::command_request> commands;
  deployment_status now;
  std::map<std::string, std::string> values;
  int sent = 0;
};

}  // namespace evp::runtime
