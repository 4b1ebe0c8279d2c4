// Settings of evp-backend: precedence, and errors that name what is wrong.
#include "apps/backend_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace evp::apps {
namespace {

result<std::optional<backend_config>> read(std::vector<const char*> arguments, std::string* printed = nullptr) {
  arguments.insert(arguments.begin(), "evp-backend");
  std::ostringstream out;
  auto r = read_backend_config(int(arguments.size()), arguments.data(), out);
  if (printed) *printed = out.str();
  return r;
}

class backend_config_test : public testing::Test {
 protected:
  const char* file(std::string_view text) {
    EXPECT_TRUE(io::write_file_durably(path_, text));
    return path_.c_str();
  }
  void TearDown() override { io::fs::remove(path_); }
  std::string path_ = testing::TempDir() + "backend_config_" + std::to_string(::getpid()) + ".toml";
};

TEST_F(backend_config_test, without_flags_it_listens_on_loopback) {
  auto c = read({});
  ASSERT_TRUE(c && *c);
  EXPECT_EQ((*c)->listen, "127.0.0.1:8080");
  EXPECT_FALSE((*c)->allow_plaintext);
}

TEST_F(backend_config_test, a_flag_goes_before_the_file_and_the_file_before_the_default) {
  auto c = read({"--config",
                 file("listen = '127.0.0.1:1'\nmqttListen = '127.0.0.1:2'\nallowPlaintext = true\n"
                      "allowedEndpointNetworks = ['127.0.0.0/8', '10.0.0.0/8']\n"),
                 "--listen", "127.0.0.1:9"});
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_EQ((*c)->listen, "127.0.0.1:9");
  EXPECT_EQ((*c)->mqtt_listen, "127.0.0.1:2");
  EXPECT_TRUE((*c)->allow_plaintext);
  EXPECT_THAT((*c)->allowed_endpoint_networks, testing::ElementsAre("127.0.0.0/8", "10.0.0.0/8"));
  EXPECT_EQ((*c)->data, "/var/lib/evp-backend");
}

TEST_F(backend_config_test, networks_on_the_command_line_are_divided_by_commas) {
  auto c = read({"--allowed-endpoint-networks", "127.0.0.0/8,::1/128"});
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_THAT((*c)->allowed_endpoint_networks, testing::ElementsAre("127.0.0.0/8", "::1/128"));
}

TEST_F(backend_config_test, what_is_wrong_in_the_file_is_named) {
  EXPECT_EQ(read({"--config", file("lisen = 'x'")}).error().field(), "lisen");
  EXPECT_EQ(read({"--config", file("listen = 7")}).error().field(), "listen");
  EXPECT_EQ(read({"--config", file("allowedEndpointNetworks = ['x', 7]")}).error().field(), "allowedEndpointNetworks");
  EXPECT_THAT(read({"--config", file("\nlisten = ")}).error().message(), testing::HasSubstr("line 2"));
  EXPECT_EQ(read({"--config", "/nowhere/x.toml"}).error().code(), errc::not_found);
}

TEST_F(backend_config_test, flags_that_belong_together_are_asked_for) {
  EXPECT_THAT(read({"--tls-cert", "c.pem"}).error().message(), testing::HasSubstr("--tls-key"));
  EXPECT_THAT(read({"--mqtt-tls-ca", "c.pem"}).error().message(), testing::HasSubstr("--mqtt-tls-cert"));
  EXPECT_THAT(read({"--log-level", "loud"}).error().message(), testing::HasSubstr("--log-level"));
  EXPECT_THAT(read({"--frobnicate"}).error().message(), testing::HasSubstr("--frobnicate"));
}

TEST_F(backend_config_test, lists_of_revoked_certificates_need_the_issuer_that_has_signed_them) {
  const auto c = read({"--mqtt-tls-cert", "c.pem", "--mqtt-tls-key", "k.pem", "--mqtt-tls-ca", "ca.pem",
                       "--mqtt-tls-crl", "a.crl", "--mqtt-tls-crl", "b.crl"});
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_THAT((*c)->mqtt_tls_crls, testing::ElementsAre("a.crl", "b.crl"));
  EXPECT_THAT(read({"--mqtt-tls-crl", "a.crl"}).error().message(), testing::HasSubstr("needs --mqtt-tls-ca"));
  EXPECT_TRUE(read(
      {"--broker", "b:1883", "--broker-password-file", "p", "--mqtt-tls-ca", "ca.pem", "--mqtt-tls-crl", "a.crl"}));
  EXPECT_FALSE(read({"--broker", "b:1883", "--broker-password-file", "p", "--mqtt-tls-ca", "ca.pem"}));
}

TEST_F(backend_config_test, the_authority_needs_a_broker_that_does_tls) {
  EXPECT_THAT(read({"--device-authority"}).error().message(), testing::HasSubstr("--broker"));
  EXPECT_TRUE(read({"--device-authority", "--broker", "b:1883", "--broker-password-file", "p"}));
}

TEST_F(backend_config_test, a_broker_of_others_is_named_with_port_and_password_file) {
  const auto c = read({"--broker", "mqtt.example:8883", "--broker-password-file", "/p", "--broker-tls-ca", "/ca.pem"});
  ASSERT_TRUE(c) << c.error().message();
  const auto at = (*c)->broker_addresses();
  ASSERT_TRUE(at);
  ASSERT_EQ(at->size(), 1u);
  EXPECT_EQ(at->front().host, "mqtt.example");
  EXPECT_EQ(at->front().port, 8883);
  EXPECT_THAT(read({"--broker", "mqtt.example"}).error().message(), testing::HasSubstr("host:port"));
  EXPECT_THAT(read({"--broker", "a:1"}).error().message(), testing::HasSubstr("--broker-password-file"));
  EXPECT_THAT(read({"--broker-tls-ca", "/ca.pem"}).error().message(), testing::HasSubstr("--broker"));
  EXPECT_THAT(read({"--broker", "a:1", "--broker-password-file", "/p", "--mqtt-tls-cert", "c", "--mqtt-tls-key", "k"})
                  .error()
                  .message(),
              testing::HasSubstr("--mqtt-tls-cert"));
}

TEST_F(backend_config_test, several_brokers_are_named_one_by_one_and_none_twice) {
  const auto c = read({"--broker", "a:1", "--broker", "[::1]:2,c:3", "--broker-password-file", "/p"});
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_THAT((*c)->brokers, testing::ElementsAre("a:1", "[::1]:2", "c:3"));
  EXPECT_EQ((*c)->broker_addresses()->at(1).host, "::1");
  const auto one = read({"--config", file("broker = 'a:1'\nbrokerPasswordFile = '/p'")});
  ASSERT_TRUE(one) << one.error().message();
  EXPECT_THAT((*one)->brokers, testing::ElementsAre("a:1"));
  const auto two = read({"--config", file("broker = ['a:1', 'b:1']\nbrokerPasswordFile = '/p'")});
  ASSERT_TRUE(two) << two.error().message();
  EXPECT_EQ((*two)->broker_addresses()->size(), 2u);
  EXPECT_THAT(read({"--broker", "a:1", "--broker", "a:1", "--broker-password-file", "/p"}).error().message(),
              testing::HasSubstr("twice"));
  std::string many = "x:1";
  for (int i = 2; i <= 33; ++i) many += ",x:" + std::to_string(i);
  EXPECT_THAT(read({"--broker", many.c_str(), "--broker-password-file", "/p"}).error().message(),
              testing::HasSubstr("32"));
}

TEST_F(backend_config_test, the_ledger_s_retention_is_a_duration_of_an_hour_or_more) {
  EXPECT_EQ((*read({}))->retention().value(), std::chrono::days(90));
  EXPECT_EQ((*read({"--ledger-retention", "PT1H"}))->retention().value(), std::chrono::hours(1));
  EXPECT_EQ(read({"--ledger-retention", "PT59M"}).error().field(), "ledgerRetention");
  EXPECT_EQ(read({"--config", file("ledgerRetention = '90 days'")}).error().field(), "ledgerRetention");
}

TEST_F(backend_config_test, the_number_of_connections_is_bounded_on_both_sides) {
  EXPECT_EQ((*read({}))->max_connections, 4096u);
  EXPECT_EQ((*read({"--max-connections", "64"}))->max_connections, 64u);
  EXPECT_EQ((*read({"--config", file("maxConnections = 64")}))->max_connections, 64u);
  for (const char* wrong : {"15", "100001"})
    EXPECT_EQ(read({"--max-connections", wrong}).error().field(), "maxConnections");
  for (const char* wrong : {"'64'", "-1", "6.4"})
    EXPECT_EQ(read({"--config", file(std::string("maxConnections = ") + wrong)}).error().field(), "maxConnections");
}

TEST_F(backend_config_test, a_devices_rate_is_bounded_on_both_sides) {
  EXPECT_EQ((*read({}))->device_grants_per_second, 500u);
  EXPECT_EQ((*read({"--device-grants-per-second", "1"}))->device_grants_per_second, 1u);
  for (const char* wrong : {"0", "10001"})
    EXPECT_EQ(read({"--device-grants-per-second", wrong}).error().field(), "deviceGrantsPerSecond");
}

TEST_F(backend_config_test, help_is_printed_and_nothing_starts) {
  std::string text;
  auto c = read({"--help"}, &text);
  ASSERT_TRUE(c);
  EXPECT_FALSE(*c);
  EXPECT_THAT(text,
              testing::AllOf(testing::HasSubstr("--allowed-endpoint-networks"), testing::HasSubstr("admin.token")));
}

TEST(listen_addresses, are_read_with_port_and_brackets) {
  auto v4 = parse_listen_address("127.0.0.1:0");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->host, "127.0.0.1");
  EXPECT_EQ(v4->port, 0);
  auto v6 = parse_listen_address("[::1]:65535");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(make_base_url(true, v6->host, v6->port), "https://[::1]:65535");
  for (const auto bad : {"", "8080", ":8080", "::1:80", "h:", "h:65536", "h:-1", "h:1x", "[]:1"})
    EXPECT_FALSE(parse_listen_address(bad)) << bad;
}

}  // namespace
}  // namespace evp::apps
