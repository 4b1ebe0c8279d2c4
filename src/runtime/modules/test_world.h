// A supervisor with real processes on a fresh data folder, and doubles for network, engine and hub.
#pragma once

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <optional>

#include "base/crypto.h"
#include "base/encoding.h"
#include "runtime/modules/download.h"
#include "runtime/modules/supervisor.h"

namespace evp::runtime {

using namespace std::chrono_literals;

/// Serves bytes by URL, and counts.
class fake_transport final : public http::transport {
 public:
  io::task<result<http::response>> send(http::request r) override {
    ++requests;
    http::response out;
    const auto found = files.find(r.url.reveal());
    out.status = found == files.end() ? 404 : 200;
    if (found != files.end()) {
      [[maybe_unused]] const auto n = ::write(r.response_fd, found->second.data(), found->second.size());
    }
    co_return out;
  }
  std::map<std::string, std::string> files;
  int requests = 0;
};

/// Accepts everything and ends nothing.
class counting_blobs final : public blobs {
 public:
  std::uint32_t begin_life(const std::string&, std::weak_ptr<blob_listener> who) override {
    listener = std::move(who);
    return 1;
  }
  void end_life(std::uint32_t) override {}
  void submit(std::uint32_t, std::uint64_t ticket, blob_order order) override {
    orders.push_back(std::move(order));
    tickets.push_back(ticket);
    if (const auto who = listener.lock()) who->accepted(ticket, orders.size());
  }
  /// Ends an operation by its place in `orders`.
  void end(std::size_t index, blob_outcome o) {
    if (const auto who = listener.lock()) who->ended(tickets.at(index), index + 1, o);
  }
  void want_outcomes(std::uint32_t) override {}
  void acknowledge(std::uint32_t, std::uint64_t) override {}
  bool holds(const std::string& instance) const override { return held == instance; }
  void forget_instance(const std::string& instance) override { forgotten.push_back(instance); }

  std::string held;
  std::vector<std::string> forgotten;
  std::vector<blob_order> orders;
  std::vector<std::uint64_t> tickets;
  std::weak_ptr<blob_listener> listener;
};

class supervised : public testing::Test {
 protected:
  supervised() {
    char name[] = "/tmp/evp-modules-XXXXXX";
    options_.data = ::mkdtemp(name);
    options_.first_user = 64300, options_.last_user = 64309;
    options_.stop_grace = 300ms;
    options_.backoff_first = 20ms;
    options_.backoff_max = 100ms;
    module_ = *io::read_file(TEST_MODULE, 256 << 20);
    hash_ = to_hex(sha256(module_));
    transport_.files["http://h/m"] = module_;
  }
  void SetUp() override { make(); }
  void make() {
    auto made = supervisor::create(ctx_.get_executor(), options_, transport_, blobs_);
    ASSERT_TRUE(made) << made.error().message();
    s_ = std::move(*made);
  }
  ~supervised() override {
    stop();
    io::fs::remove_all(options_.data);
  }
  void stop() {
    if (!s_) return;
    bool done = false;
    boost::asio::co_spawn(ctx_, s_->stop(), [&](std::exception_ptr) { done = true; });
    EXPECT_TRUE(until([&] { return done; }));
    s_.reset();
  }

  /// Runs the executor until the condition holds; false after a minute.
  template <class F>
  bool until(F condition) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      ctx_.restart();
      ctx_.run_one_for(50ms);
    }
    return true;
  }
  bool until_status(const std::string& status) {
    return until([&] { return s_->status().reconcile_status == status; });
  }
  wire::deployment wanting(std::vector<std::string> names) {
    wire::deployment d;
    d.id = "dep";
    d.modules["m"] = {"spawn", "main", secret("http://h/m"), hash_};
    for (const auto& n : names) d.instances[n].module_id = "m";
    return d;
  }
  /// Has the module do something, and gives back what it says.
  std::string ask(const std::string& instance, const std::string& method, const std::string& argument = "") {
    wire::command_request c;
    c.instance = instance, c.reqid = "1", c.method = method, c.params = argument;
    std::optional<wire::command_response> answer;
    // A process that has just been started is not yet there.
    if (!until([&] { return bool(s_->command(c, [&](wire::command_response r) { answer = std::move(r); })); }))
      return "refused";
    if (!until([&] { return answer.has_value(); })) return "no answer";
    return answer->error_message.empty() ? answer->response : answer->error_message;
  }
  std::string workspace(const std::string& name) {
    return (options_.data / "instances" / name / "default_workspace").string();
  }

  boost::asio::io_context ctx_;
  instances_options options_;
  fake_transport transport_;
  counting_blobs blobs_;
  std::string module_, hash_;
  std::unique_ptr<supervisor> s_;
};

}  // namespace evp::runtime
