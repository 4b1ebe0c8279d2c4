// The real mosquitto with the real plugin, as a backend starts it.
#include "mqtt/embedded_broker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <vector>

#include "base/crypto.h"
#include "mqtt/test_broker.h"

namespace evp::mqtt {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class embedded_broker_test : public testing::Test {
 protected:
  /// The thread of a client's attempt ends by itself, a moment after the client; what it holds is no leak.
  void TearDown() override {
    EXPECT_TRUE(until([this] { return threads() <= threads_before_; }));
  }
  static std::ptrdiff_t threads() {
    const std::filesystem::directory_iterator all("/proc/self/task");
    return std::distance(begin(all), end(all));
  }

  embedded_broker_options settings() {
    embedded_broker_options o;
    o.plugin = EVP_PLUGIN;
    o.on_log = [this](std::string line) { log_ += line + "\n"; };
    return o;
  }
  std::unique_ptr<embedded_broker> started(embedded_broker_options o) {
    auto b = embedded_broker::start(context_.get_executor(), std::move(o));
    EXPECT_TRUE(b) << b.error().message();
    return b ? std::move(*b) : nullptr;
  }
  error refusal(embedded_broker_options o) {
    auto b = embedded_broker::start(context_.get_executor(), std::move(o));
    EXPECT_FALSE(b);
    return b ? error(errc::internal, "it started") : b.error();
  }
  template <class F>
  bool until(F condition) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      if (context_.stopped()) context_.restart();
      context_.run_one_for(20ms);
    }
    return condition();
  }
  void stop(embedded_broker& b) {
    bool done = false;
    io::asio::co_spawn(context_, b.stop(), [&](std::exception_ptr) { done = true; });
    EXPECT_TRUE(until([&] { return done; }));
  }

  const std::ptrdiff_t threads_before_ = threads();
  io::asio::io_context context_;
  std::string log_;
};

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(embedded_broker_test, the_backend_sets_up_a_device_and_both_talk) {
  const auto broker = started(settings());
  ASSERT_TRUE(broker);
  std::vector<message> at_backend, at_device;
  bool device_up = false;
  callbacks b, d;
  std::unique_ptr<client> backend;
  control::batch batch{1, {control::set_device{"cam-1", sha256("token"), false}}};
  b.on_connected = [&] { EXPECT_TRUE(backend->publish(control::topic, encode(batch), 1)); };
  b.on_message = [&](message m) { at_backend.push_back(std::move(m)); };
  backend = std::make_unique<client>(context_.get_executor(), broker->backend_options("backend"), b);
  backend->subscribe("evp/devices/#", 1);
  backend->subscribe("evp/presence/+", 1);
  backend->start();
  ASSERT_TRUE(until([&] { return at_backend.size() == 1; }));
  EXPECT_EQ(at_backend[0].topic, control::ack_topic);
  EXPECT_EQ(at_backend[0].payload, "1 ok");

  options o;
  o.port = broker->port();
  o.username = "cam-1";
  o.password = secret("token");
  d.on_connected = [&] { device_up = true; };
  d.on_message = [&](message m) { at_device.push_back(std::move(m)); };
  client device(context_.get_executor(), o, d);
  device.start();
  ASSERT_TRUE(until([&] { return device_up && at_backend.size() == 2; }));
  EXPECT_EQ(at_backend[1].topic, "evp/presence/cam-1");
  EXPECT_TRUE(device.publish("v1/devices/me/telemetry", "{}"));
  ASSERT_TRUE(until([&] { return at_backend.size() == 3; }));
  EXPECT_EQ(at_backend[2].topic, "evp/devices/cam-1/telemetry");
  EXPECT_TRUE(backend->publish("evp/to/cam-1/v1/devices/me/attributes", "{\"a\":1}"));
  ASSERT_TRUE(until([&] { return at_device.size() == 1; }));
  EXPECT_EQ(at_device[0].topic, "v1/devices/me/attributes");
  EXPECT_EQ(at_device[0].payload, "{\"a\":1}");
}

TEST_F(embedded_broker_test, a_broker_that_dies_is_started_again_on_its_port) {
  const auto broker = started(settings());
  ASSERT_TRUE(broker);
  const auto port = broker->port();
  const int first = broker->pid();
  int restarts = 0, connects = 0;
  broker->on_restarted = [&] { ++restarts; };
  callbacks c;
  c.on_connected = [&] { ++connects; };
  client backend(context_.get_executor(), broker->backend_options("backend"), c);
  backend.start();
  ASSERT_TRUE(until([&] { return connects == 1; }));
  ::kill(first, SIGKILL);
  ASSERT_TRUE(until([&] { return restarts == 1 && connects == 2; }));
  EXPECT_NE(broker->pid(), first);
  EXPECT_EQ(broker->port(), port);
}

TEST_F(embedded_broker_test, stop_leaves_no_process_also_when_it_does_not_listen_to_sigterm) {
  for (const bool frozen : {false, true}) {
    const auto broker = started(settings());
    ASSERT_TRUE(broker);
    const int pid = broker->pid();
    if (frozen) ::kill(pid, SIGSTOP);
    stop(*broker);
    EXPECT_EQ(broker->pid(), 0);
    EXPECT_EQ(::kill(pid, 0), -1);
  }
}

TEST_F(embedded_broker_test, the_password_is_in_no_argument_and_no_environment) {
  const auto broker = started(settings());
  ASSERT_TRUE(broker);
  const auto process = "/proc/" + std::to_string(broker->pid());
  EXPECT_THAT(text_of(process + "/cmdline"), HasSubstr("mosquitto"));
  EXPECT_THAT(text_of(process + "/cmdline"), testing::Not(HasSubstr(broker->backend_password().reveal())));
  EXPECT_THAT(text_of(process + "/environ"), testing::Not(HasSubstr(broker->backend_password().reveal())));
  EXPECT_GE(broker->backend_password().size(), 32u);
  EXPECT_THAT(text_of(process + "/status"), testing::Not(HasSubstr("Uid:\t0"))) << "it needs no root";
}

TEST_F(embedded_broker_test, a_port_in_use_is_a_clear_error) {
  const auto first = started(settings());
  ASSERT_TRUE(first);
  auto o = settings();
  o.port = first->port();
  const auto e = refusal(std::move(o));
  EXPECT_EQ(e.code(), errc::failed_precondition);
  EXPECT_THAT(e.message(), HasSubstr("is in use"));
}

TEST_F(embedded_broker_test, what_is_missing_is_named) {
  auto o = settings();
  o.program = "/nonexistent/mosquitto";
  EXPECT_EQ(refusal(o).code(), errc::not_found);
  EXPECT_THAT(refusal(o).message(), HasSubstr("/nonexistent/mosquitto"));
  o = settings();
  o.plugin = "/nonexistent/plugin.so";
  EXPECT_THAT(refusal(o).message(), HasSubstr("/nonexistent/plugin.so"));
  o = settings();
  o.tls = listener_tls{"/nonexistent/cert", "/nonexistent/key", "", false};
  EXPECT_THAT(refusal(o).message(), HasSubstr("/nonexistent/cert"));
}

TEST_F(embedded_broker_test, plaintext_beyond_loopback_needs_consent) {
  auto o = settings();
  o.address = "0.0.0.0";
  EXPECT_EQ(refusal(o).code(), errc::failed_precondition);
  EXPECT_THAT(refusal(o).message(), HasSubstr("--allow-plaintext"));
  o.allow_plaintext = true;
  const auto broker = started(o);
  ASSERT_TRUE(broker);
  EXPECT_NE(broker->port(), broker->backend_port());
  o.address = "localhost";
  EXPECT_EQ(refusal(o).code(), errc::invalid_argument);
}

// A CA, a broker certificate for 127.0.0.1, one for another host, and a device's certificate; a stranger's CA.
class tls_test : public embedded_broker_test {
 protected:
  tls_test() {
    std::string pattern = (std::filesystem::temp_directory_path() / "evp-tls-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    const std::string script = R"(set -e
      make_ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$1 -keyout $1.key -out $1.pem; }
      make() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$1 -keyout $1.key -out $1.csr
               echo "subjectAltName=$2" > $1.san
               openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $1.san -out $1.pem; }
      make_ca ca; make_ca stranger; make broker IP:127.0.0.1; make elsewhere DNS:elsewhere.example; make cam-1 DNS:cam-1)";
    const auto command = "cd " + folder_.string() + " && (" + script + ") >log 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << text_of((folder_ / "log").string());
  }
  ~tls_test() override { std::filesystem::remove_all(folder_); }

  embedded_broker_options with_certificate(const std::string& name) {
    auto o = settings();
    o.tls = listener_tls{folder_ / (name + ".pem"), folder_ / (name + ".key"), folder_ / "ca.pem", true};
    return o;
  }
  options device(const embedded_broker& broker, const std::string& ca) const {
    options o;
    o.port = broker.port();
    o.tls = tls_options{(folder_ / ca).string(), (folder_ / "cam-1.pem").string(), (folder_ / "cam-1.key").string()};
    return o;
  }
  // What ends the first attempt of a client, or nothing when it connects.
  std::optional<error> attempt(const options& o) {
    bool up = false;
    std::optional<error> why;
    callbacks c;
    c.on_connected = [&] { up = true; };
    c.on_disconnected = [&](const error& e) { why = why ? why : e; };
    client device(context_.get_executor(), o, c);
    device.start();
    EXPECT_TRUE(until([&] { return up || why; }));
    return why;
  }
  std::filesystem::path folder_;
};

TEST_F(tls_test, a_device_with_a_certificate_connects_and_the_backend_needs_none) {
  const auto broker = started(with_certificate("broker"));
  ASSERT_TRUE(broker);
  EXPECT_NE(broker->port(), broker->backend_port());
  EXPECT_EQ(attempt(device(*broker, "ca.pem"))->code(), errc::unauthenticated)
      << "the backend has not told about it yet";

  std::vector<message> at_backend;
  callbacks b;
  std::unique_ptr<client> backend;
  b.on_connected = [&] { EXPECT_TRUE(backend->publish(control::topic, "batch 1\nset cam-1 - -\n", 1)); };
  b.on_message = [&](message m) { at_backend.push_back(std::move(m)); };
  backend = std::make_unique<client>(context_.get_executor(), broker->backend_options("backend"), b);
  backend->subscribe("evp/devices/#", 1);
  backend->start();
  ASSERT_TRUE(until([&] { return at_backend.size() == 1; }));
  bool up = false;
  callbacks c;
  c.on_connected = [&] { up = true; };
  client cam(context_.get_executor(), device(*broker, "ca.pem"), c);
  cam.start();
  ASSERT_TRUE(until([&] { return up; }));
  const std::string large(100'000, 'x');
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(cam.publish("v1/devices/me/telemetry", large, i % 2));
  ASSERT_TRUE(until([&] { return at_backend.size() == 21; }));
  EXPECT_EQ(at_backend.back().payload, large);
}

TEST_F(tls_test, a_broker_of_another_issuer_is_refused) {
  const auto broker = started(with_certificate("broker"));
  ASSERT_TRUE(broker);
  for (const char* ca : {"stranger.pem", "missing.pem"}) {
    const auto why = attempt(device(*broker, ca));
    ASSERT_TRUE(why);
    EXPECT_EQ(why->code(), errc::unauthenticated);
    EXPECT_THAT(why->message(), HasSubstr("TLS"));
  }
  auto system_authorities = device(*broker, "ca.pem");
  system_authorities.tls->ca_file.clear();
  EXPECT_TRUE(attempt(system_authorities));
}

TEST_F(tls_test, a_certificate_for_another_host_is_refused) {
  const auto broker = started(with_certificate("elsewhere"));
  ASSERT_TRUE(broker);
  const auto why = attempt(device(*broker, "ca.pem"));
  ASSERT_TRUE(why);
  EXPECT_EQ(why->code(), errc::unauthenticated) << why->message();
}

}  // namespace
}  // namespace evp::mqtt
