// What evp-backend is told at its start: command line before configuration file before default.
#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/time.h"
#include "io/files.h"

namespace evp::apps {

struct listen_address {
  std::string host;        ///< numeric; IPv6 without brackets
  std::uint16_t port = 0;  ///< 0: the system chooses
};
/// "127.0.0.1:8080", "[::1]:0". Errors: invalid_argument.
result<listen_address> parse_listen_address(std::string_view text);
/// "http://host:port", with brackets around an IPv6 address.
std::string make_base_url(bool tls, const std::string& host, std::uint16_t port);

struct backend_config {
  io::fs::path data = "/var/lib/evp-backend";
  std::string listen = "127.0.0.1:8080";
  std::string mqtt_listen = "127.0.0.1:1883";
  std::string public_url;  ///< empty: made of the REST listener's address
  io::fs::path tls_cert, tls_key;
  io::fs::path mqtt_tls_cert, mqtt_tls_key, mqtt_tls_ca;
  std::vector<std::string> mqtt_tls_crls;  ///< files
  bool device_authority = false;
  bool allow_plaintext = false;
  std::vector<std::string> allowed_endpoint_networks;
  std::vector<std::string> token_file_folders;  ///< beside those of the platforms
  io::fs::path master_key_file;                 ///< empty: master.key below data
  std::string master_key_command;               ///< empty: none; see backend::master_key_source
  io::fs::path back_up_to;                      ///< a new folder: copy the data there, then end
  std::string database;                         ///< empty: sqlite below data
  std::vector<std::string> brokers;             ///< "host:port" each; empty: one of the program's own
  io::fs::path broker_password_file, broker_tls_ca;
  std::vector<std::string> balancer_networks;  ///< from which the REST API is reached through balancers
  io::fs::path broker_plugin;                  ///< empty: ../lib/evp_broker_plugin.so beside the program
  std::string ledger_retention = "P90D";       ///< ISO 8601; checked: see retention()
  std::string audit_retention = "P365D";       ///< likewise: see audit_kept()
  std::string oidc_issuer, oidc_audience;      ///< both or none: tokens of that issuer are good for the REST API
  std::string oidc_roles_claim = "roles";
  io::fs::path oidc_ca;                        ///< empty: the system's
  std::size_t max_connections = 4096;          ///< of HTTP clients
  std::size_t device_grants_per_second = 500;  ///< of each device; four seconds' worth at once
  std::string log_level = "info";
  std::string log_format = "text";

  bool tls() const { return !tls_cert.empty(); }
  static constexpr std::size_t max_brokers = 32, max_crls = 32;
  /// Of `brokers`; hosts may be names. Errors: invalid_argument (also where one stands twice), naming the flag.
  result<std::vector<listen_address>> broker_addresses() const;
  /// How long the ledger remembers uploads that have ended: an hour or more. Errors: invalid_argument, naming the flag.
  result<milliseconds> retention() const;
  /// How long the audit's records stay: a day or more. Errors: invalid_argument, naming the flag.
  result<milliseconds> audit_kept() const;
};

/// Nothing: --help or --version was asked for and has been written to `out`. Errors: invalid_argument, naming the flag
/// or the file's key; those of reading the file.
result<std::optional<backend_config>> read_backend_config(int argc, const char* const* argv, std::ostream& out);

}  // namespace evp::apps
