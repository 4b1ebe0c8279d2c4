// Where the settings of evp-runtime come from, and what is refused.
#include "apps/runtime_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace evp::apps {
namespace {

environment env_of(std::map<std::string, std::string> all) {
  return [all = std::move(all)](const std::string& name) -> std::optional<std::string> {
    const auto found = all.find(name);
    return found == all.end() ? std::nullopt : std::optional(found->second);
  };
}

class runtime_config_test : public testing::Test {
 protected:
  std::string file_with(const std::string& text) {
    const auto path = testing::TempDir() + "runtime_config_test.toml";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(runtime_config_test, the_environment_of_the_public_agent_is_understood) {
  const auto s = read_runtime_settings({}, env_of({{"EVP_MQTT_HOST", "hub"},
                                                   {"EVP_MQTT_PORT", "1884"},
                                                   {"EVP_MQTT_CLIENTID", "c"},
                                                   {"EVP_MQTT_USERNAME", "dev"},
                                                   {"EVP_MQTT_PASSWORD", "token"},
                                                   {"EVP_DATA_DIR", "/data"},
                                                   {"EVP_IOT_PLATFORM", "TB"},
                                                   {"EVP_REPORT_STATUS_INTERVAL_MIN_SEC", "5"},
                                                   {"EVP_REPORT_STATUS_INTERVAL_MAX_SEC", "60"},
                                                   {"EVP_HTTP_PROXY_HOST", "proxy"},
                                                   {"EVP_HTTP_PROXY_PORT", "3128"}}));
  ASSERT_TRUE(s);
  const auto o = to_runtime_options(*s);
  ASSERT_TRUE(o) << o.error().message();
  EXPECT_EQ(o->broker.host, "hub");
  EXPECT_EQ(o->broker.port, 1884);
  EXPECT_EQ(o->broker.client_id, "c");
  EXPECT_EQ(o->broker.username, "dev");
  EXPECT_EQ(o->broker.password, secret("token"));
  EXPECT_FALSE(o->broker.tls);
  EXPECT_EQ(o->data_directory, "/data");
  EXPECT_EQ(o->hub.reports.interval_min, seconds(5));
  EXPECT_EQ(o->hub.reports.interval_max, seconds(60));
  EXPECT_EQ(o->uploads.via->host, "proxy");
}

TEST_F(runtime_config_test, a_flag_wins_over_the_environment_and_the_environment_over_the_file) {
  const auto path = file_with("# of the device\nmqtt_host = \"from-file\" # why\nmqtt-port = 1\ndata-dir = /file\n");
  const auto s = read_runtime_settings({"--config", path, "--mqtt-port=3"},
                                       env_of({{"EVP_MQTT_PORT", "2"}, {"EVP_DATA_DIR", "/env"}}));
  ASSERT_TRUE(s) << s.error().message();
  EXPECT_EQ(s->mqtt_host, "from-file");
  EXPECT_EQ(s->data_directory, "/env");
  EXPECT_EQ(s->mqtt_port, 3);
}

TEST_F(runtime_config_test, a_password_is_refused_on_the_command_line_and_not_repeated) {
  const auto s = read_runtime_settings({"--mqtt-password=hunter2"}, env_of({}));
  ASSERT_FALSE(s);
  EXPECT_THAT(s.error().message(), testing::HasSubstr("EVP_MQTT_PASSWORD"));
  EXPECT_THAT(s.error().message(), testing::Not(testing::HasSubstr("hunter2")));
  EXPECT_THAT(runtime_secret_variables(), testing::Contains("EVP_MQTT_PASSWORD"));
}

TEST_F(runtime_config_test, what_is_wrong_is_named) {
  const auto message = [&](std::vector<std::string> arguments, std::map<std::string, std::string> env = {}) {
    const auto s = read_runtime_settings(arguments, env_of(std::move(env)));
    return s ? std::string("accepted") : s.error().message();
  };
  EXPECT_THAT(message({"--mqtt-port", "0"}), testing::HasSubstr("--mqtt-port: must be a number from 1 to 65535"));
  EXPECT_THAT(message({"--nonsense"}), testing::HasSubstr("--nonsense: unknown"));
  EXPECT_THAT(message({"--mqtt-host"}), testing::HasSubstr("needs a value"));
  EXPECT_THAT(message({}, {{"EVP_IOT_PLATFORM", "EVP1"}}), testing::HasSubstr("EVP_IOT_PLATFORM: must be one of TB"));
  EXPECT_THAT(message({"--config", file_with("\nnonsense = 1\n")}), testing::HasSubstr(":2: unknown setting"));
  EXPECT_THAT(message({"--config", file_with("mqtt-host = \"a\n")}), testing::HasSubstr(":1: the value's quotes"));
  EXPECT_THAT(message({"--config", "/nonexistent/file"}), testing::HasSubstr("/nonexistent/file"));
  EXPECT_THAT(message({"--upload-deadline", "1h"}), testing::HasSubstr("--upload-deadline"));
}

TEST_F(runtime_config_test, a_certificate_for_mqtt_turns_tls_on_and_a_ca_for_everything_does_not) {
  runtime_settings s;
  s.mqtt_port = 8883;
  EXPECT_TRUE(to_runtime_options(s)->broker.tls);
  s.mqtt_tls = "off";
  EXPECT_FALSE(to_runtime_options(s)->broker.tls);
  s = {};
  s.mqtt_tls = "on";
  EXPECT_EQ(to_runtime_options(s)->broker.port, 8883);
  s = {};
  s.mqtt_ca = "/nonexistent.pem";
  ASSERT_FALSE(to_runtime_options(s));
  EXPECT_EQ(to_runtime_options(s).error().field(), "mqtt-tls-ca-cert");
}

TEST_F(runtime_config_test, grants_for_later_are_fifty_or_as_many_as_is_said) {
  const auto grants = [](std::vector<std::string> arguments) {
    const auto s = read_runtime_settings(arguments, env_of({}));
    return s ? int(to_runtime_options(*s)->uploads.limits.offline_grants) : -1;
  };
  EXPECT_EQ(grants({}), 50);
  EXPECT_EQ(grants({"--offline-grants=0"}), 0);
  EXPECT_EQ(grants({"--offline-grants=1001"}), -1);
}

TEST_F(runtime_config_test, help_lists_every_variable) {
  EXPECT_TRUE(read_runtime_settings({"--help"}, env_of({}))->show_help);
  for (const char* name : {"EVP_DATA_DIR", "EVP_MQTT_PASSWORD", "EVP_TLS_CA_CERT", "EVP_HTTPS_CA_CERT"})
    EXPECT_THAT(runtime_usage(), testing::HasSubstr(name));
}

TEST(runtime_settings, a_device_enrols_over_https_only_and_keeps_its_certificate_itself) {
  runtime_settings s;
  EXPECT_FALSE(to_identity_options(s).value());
  s.enrol_url = "http://backend.example:8080";
  s.enrol_token_file = "/etc/evp/token";
  EXPECT_EQ(to_identity_options(s).error().field(), "enroll-url");
  s.enrol_url = "https://backend.example:8443/";
  EXPECT_EQ(to_identity_options(s).value()->url, "https://backend.example:8443");
  s.mqtt_certificate = "/etc/evp/device.pem";
  EXPECT_EQ(to_identity_options(s).error().field(), "mqtt-tls-client-cert");
  s.mqtt_certificate.clear();
  s.enrol_token_file.clear();
  EXPECT_EQ(to_identity_options(s).error().field(), "enroll-token-file");
}

TEST(runtime_settings, a_key_on_a_token_stands_for_a_key_file_and_for_nothing_else) {
  const auto field = [](runtime_settings s) {
    const auto key = to_device_key(s);
    return key ? std::string(*key ? "opened" : "none") : key.error().field() + ": " + key.error().message();
  };
  runtime_settings s;
  EXPECT_EQ(field(s), "none");
  s.device_key = "pkcs11:token=openevp;object=device";
  EXPECT_THAT(field(s), testing::HasSubstr("device-key needs a certificate"));
  s.mqtt_certificate = "/etc/evp/device.pem";
  s.mqtt_tls = "off";
  EXPECT_THAT(field(s), testing::StartsWith("mqtt-tls:"));
  s.mqtt_tls = "auto";
  s.mqtt_key = "/etc/evp/device.key";
  EXPECT_THAT(field(s), testing::HasSubstr("a device has one key"));
  s.mqtt_key.clear();
  s.device_key += "?pin-value=271828";
  EXPECT_THAT(field(s), testing::AllOf(testing::HasSubstr("pin-source"), testing::Not(testing::HasSubstr("271828"))));
  s.device_key = "pkcs11:token=openevp;object=device?pin-source=file:/nonexistent/pin";
  EXPECT_THAT(field(s), testing::HasSubstr("/nonexistent/pin"));
}

}  // namespace
}  // namespace evp::apps
