// The settings of evp-runtime: one table that names each for the command line, the environment and the file.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace evp::apps {

struct runtime_settings {
  bool show_help = false;
  std::string data_directory = "/evp_data";
  std::string platform = "TB";
  std::string mqtt_host = "127.0.0.1";
  std::uint16_t mqtt_port = 0;  ///< 0: 1883, or 8883 with TLS
  std::string mqtt_client_id, mqtt_username;
  secret mqtt_password;
  std::string mqtt_tls = "auto";
  std::string tls_ca, mqtt_ca, mqtt_certificate, mqtt_key, device_key, https_ca;
  std::string enrol_url, enrol_token_file, enrol_id;
  std::string mqtt_proxy_host;
  http::proxy http_proxy;
  seconds report_min{3}, report_max{180};
  unsigned transfers = 8, live_per_instance = 1'000, offline_grants = 50;
  std::size_t queue_files = 10'000;
  std::uint64_t queue_bytes = 64ULL << 30, spool_bytes = 1ULL << 30;
  std::string queue_when_full = "refuse";
  std::string sync_sources = "off";
  unsigned transfers_per_storage = 8;
  std::uint64_t upload_rate = 0;
  std::string upload_windows, metered = "off";
  milliseconds upload_deadline{86'400'000};
  std::string log_level = "info", log_format = "text";
};

/// Reads one variable of the environment; nothing where it is not set.
using environment = std::function<std::optional<std::string>(const std::string& name)>;

/// Settings from the command line (without argv[0]), the environment and the file that --config or EVP_CONFIG names, in
/// this order of precedence. Errors: invalid_argument at the setting's name, with what to do; by errno for the file.
result<runtime_settings> read_runtime_settings(const std::vector<std::string>& arguments, const environment& env);

/// How a device without a certificate gets one; nothing: it is not to. Errors: invalid_argument, not_found, by errno.
result<std::optional<runtime::identity_options>> to_identity_options(const runtime_settings& s);
/// The key on a token, opened; nothing: none is named. Blocks. Errors: as open_token_key; by errno for the PIN's file.
result<std::optional<evp::device_key>> to_device_key(const runtime_settings& s);
/// Checks what belongs together and loads the files that are named. Errors: invalid_argument, not_found, by errno.
result<runtime::runtime_options> to_runtime_options(const runtime_settings& s);

/// What --help prints.
std::string runtime_usage();
/// The variables that hold secrets: the caller wipes them from its environment.
std::vector<std::string> runtime_secret_variables();

}  // namespace evp::apps
