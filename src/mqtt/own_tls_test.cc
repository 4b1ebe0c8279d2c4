// The client with a key that is in no file: mutual TLS, and the same care about whom it talks to.
#include "mqtt/own_tls.h"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>
#include <fstream>

#include "io/test_folder.h"
#include "mqtt/test_broker.h"

namespace evp::mqtt {
namespace {

using namespace std::chrono_literals;

void openssl(const std::string& arguments) {
  ASSERT_EQ(std::system(("openssl " + arguments + " 2>/dev/null").c_str()), 0) << arguments;
}

class own_tls_test : public testing::Test {
 protected:
  own_tls_test() {
    make_authority("ca");
    make_server("DNS:localhost,IP:127.0.0.1");
    certify(key_, "ca", "cam-1");
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  void make_authority(const std::string& name) {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name + " -keyout " +
            path(name + ".key") + " -out " + path(name + ".pem"));
  }
  void make_server(const std::string& names) {
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout " + path("server.key") +
            " -out " + path("server.csr"));
    std::ofstream(path("names")) << "subjectAltName=" << names << "\n";
    openssl("x509 -req -days 2 -in " + path("server.csr") + " -CA " + path("ca.pem") + " -CAkey " + path("ca.key") +
            " -extfile " + path("names") + " -out " + path("server.pem"));
  }
  void certify(const device_key& key, const std::string& by, const std::string& subject) {
    std::ofstream(path("client.csr")) << key.request().value();
    openssl("x509 -req -days 2 -in " + path("client.csr") + " -subj /CN=" + subject + " -CA " + path(by + ".pem") +
            " -CAkey " + path(by + ".key") + " -out " + path("client.pem"));
  }
  options settings() const {
    options o;
    o.port = broker_.port();
    o.reconnect_min = 20ms;
    o.reconnect_max = 100ms;
    o.tls = tls_options{path("ca.pem"), path("client.pem"), "", key_};
    return o;
  }
  void start(options o) {
    callbacks c;
    c.on_connected = [this] { ++connects_; };
    c.on_disconnected = [this](const error& why) { errors_.push_back(why.message()); };
    c.on_message = [this](message m) { topics_.push_back(std::move(m.topic)); };
    client_.emplace(context_.get_executor(), std::move(o), std::move(c));
    client_->start();
  }
  template <class F>
  bool until(F condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      if (context_.stopped()) context_.restart();
      context_.run_one_for(20ms);
    }
    return condition();
  }
  /// Why the client does not connect.
  std::string refusal(options o) {
    broker_.start();
    start(std::move(o));
    // The first attempts may come before the broker listens.
    until([&] { return !errors_.empty() && errors_.back().find("refused") == std::string::npos; });
    EXPECT_EQ(connects_, 0);
    return errors_.empty() ? "" : errors_.back();
  }

  const io::temporary_folder folder_;
  const device_key key_ = device_key::make();
  test_broker broker_{"cafile " + path("ca.pem") + "\ncertfile " + path("server.pem") + "\nkeyfile " +
                      path("server.key") + "\nrequire_certificate true\nuse_identity_as_username true\n"};
  io::asio::io_context context_;
  std::optional<client> client_;
  int connects_ = 0;
  std::vector<std::string> errors_, topics_;
};

TEST_F(own_tls_test, a_key_in_no_file_connects_by_mutual_tls_and_carries_large_messages) {
  broker_.start();
  start(settings());
  client_->subscribe("#", 1);
  ASSERT_TRUE(until([&] { return connects_ == 1; })) << errors_.back();
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client_->publish("t", large, 1));
  EXPECT_TRUE(until([&] { return topics_.size() == 5; }));
}

TEST_F(own_tls_test, the_next_connection_uses_a_renewed_certificate) {
  std::ofstream(broker_.folder() / "mosquitto.conf", std::ios::app)
      << "log_dest file " << path("log") << "\nlog_type notice\n";
  broker_.start();
  start(settings());
  ASSERT_TRUE(until([&] { return connects_ == 1; })) << errors_.back();
  certify(key_, "ca", "cam-1-renewed");
  broker_.stop();
  broker_.start();
  ASSERT_TRUE(until([&] { return connects_ == 2; })) << errors_.back();
  const auto told = io::read_file(path("log"), 1 << 20).value_or("");
  EXPECT_THAT(told, testing::HasSubstr("u'cam-1'"));
  EXPECT_THAT(told, testing::HasSubstr("u'cam-1-renewed'"));
}

TEST_F(own_tls_test, a_broker_of_another_name_is_refused) {
  make_server("DNS:other.example,IP:127.0.0.2");
  EXPECT_THAT(refusal(settings()), testing::HasSubstr("certificate verify failed"));
}

TEST_F(own_tls_test, a_broker_of_another_authority_is_refused) {
  make_authority("other");
  auto o = settings();
  o.tls->ca_file = path("other.pem");
  EXPECT_THAT(refusal(o), testing::HasSubstr("certificate verify failed"));
}

TEST_F(own_tls_test, a_broker_that_the_system_does_not_know_is_refused) {
  auto o = settings();
  o.tls->ca_file.clear();
  EXPECT_THAT(refusal(o), testing::HasSubstr("certificate verify failed"));
}

TEST_F(own_tls_test, a_certificate_of_another_key_is_named_as_such) {
  certify(device_key::make(), "ca", "cam-1");
  EXPECT_THAT(refusal(settings()), testing::HasSubstr("another key"));
}

TEST_F(own_tls_test, a_client_that_the_broker_does_not_know_is_not_let_in) {
  make_authority("other");
  certify(key_, "other", "cam-1");
  EXPECT_NE(refusal(settings()), "");
}

}  // namespace
}  // namespace evp::mqtt
