// What evp-backend is told at its start: one table of settings serves command line, configuration file and help.
#include "apps/backend_config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <variant>

namespace evp::apps {
namespace {

using config = backend_config;
using target = std::variant<std::string config::*, io::fs::path config::*, bool config::*, std::size_t config::*,
                            std::vector<std::string> config::*>;

struct setting {
  const char* flag;
  const char* key;  // in the configuration file
  target where;
  const char* help;
};

const setting settings[] = {
    {"--data", "data", &config::data, "Folder of database, keys, modules and the LOCAL store [/var/lib/evp-backend]"},
    {"--listen", "listen", &config::listen, "REST API, address:port, port 0 for any [127.0.0.1:8080]"},
    {"--mqtt-listen", "mqttListen", &config::mqtt_listen, "Devices' MQTT listener, address:port [127.0.0.1:1883]"},
    {"--public-url", "publicUrl", &config::public_url, "Base URL at which devices reach this server [from --listen]"},
    {"--tls-cert", "tlsCert", &config::tls_cert, "Certificate chain of the REST API, PEM"},
    {"--tls-key", "tlsKey", &config::tls_key, "Its private key, PEM"},
    {"--mqtt-tls-cert", "mqttTlsCert", &config::mqtt_tls_cert, "Certificate chain of the MQTT listener, PEM"},
    {"--mqtt-tls-key", "mqttTlsKey", &config::mqtt_tls_key, "Its private key, PEM"},
    {"--mqtt-tls-ca", "mqttTlsCa", &config::mqtt_tls_ca,
     "Issuer of device certificates, PEM: devices must then show one whose common name is their id"},
    {"--mqtt-tls-crl", "mqttTlsCrl", &config::mqtt_tls_crls,
     "List of certificates that an issuer of --mqtt-tls-ca has revoked, PEM or DER; read again when it changes; "
     "several times for several lists"},
    {"--device-authority", "deviceAuthority", &config::device_authority,
     "Issue certificates to devices that enrol, by an authority of this backend; devices must then show one"},
    {"--allow-plaintext", "allowPlaintext", &config::allow_plaintext, "Permit listeners without TLS beyond loopback"},
    {"--allowed-endpoint-networks", "allowedEndpointNetworks", &config::allowed_endpoint_networks,
     "Networks (CIDR, comma-separated) that storage endpoints may lie in although they are not public"},
    {"--token-file-folders", "tokenFileFolders", &config::token_file_folders,
     "Folders (comma-separated) beside those of EKS and AKS in which services may name token files"},
    {"--master-key-file", "masterKeyFile", &config::master_key_file,
     "File of the key that seals all secrets, mode 0600; made when missing [<data>/master.key]"},
    {"--master-key-command", "masterKeyCommand", &config::master_key_command,
     "Shell command that prints that key instead, 64 hexadecimal digits: from a key management service, say"},
    {"--back-up-to", "backUpTo", &config::back_up_to,
     "Copy the data into this new folder, also while another evp-backend uses it, and end"},
    {"--database", "database", &config::database,
     "sqlite:///absolute/path.db, or postgresql://user@host/name, its password in ~/.pgpass [SQLite below --data]"},
    {"--broker", "broker", &config::brokers,
     "host:port of a mosquitto with evp_broker_plugin.so that several backends share; several times where devices are "
     "spread over several [one of its own]"},
    {"--broker-password-file", "brokerPasswordFile", &config::broker_password_file,
     "File (mode 0600) with the password of $backend there, the same at all"},
    {"--broker-tls-ca", "brokerTlsCa", &config::broker_tls_ca, "Issuer of those brokers' certificates, PEM"},
    {"--balancer-networks", "balancerNetworks", &config::balancer_networks,
     "Networks (CIDR, comma-separated) of load balancers before the REST API: the audit then says that they hide the "
     "client's address"},
    {"--broker-plugin", "brokerPlugin", &config::broker_plugin, "evp_broker_plugin.so [../lib beside this program]"},
    {"--ledger-retention", "ledgerRetention", &config::ledger_retention,
     "How long uploads that have ended stay in the ledger, ISO 8601, at least PT1H [P90D]"},
    {"--audit-retention", "auditRetention", &config::audit_retention,
     "How long records stay in the audit, ISO 8601, at least P1D [P365D]"},
    {"--oidc-issuer", "oidcIssuer", &config::oidc_issuer,
     "OpenID Connect issuer, https URL: its tokens are good for the REST API beside API keys"},
    {"--oidc-audience", "oidcAudience", &config::oidc_audience, "What those tokens must be for (aud)"},
    {"--oidc-roles-claim", "oidcRolesClaim", &config::oidc_roles_claim,
     "Their claim that holds roles, each as evp:<tenant>:<role> [roles]"},
    {"--oidc-ca", "oidcCa", &config::oidc_ca, "Issuer of that server's certificate, PEM [the system's]"},
    {"--max-connections", "maxConnections", &config::max_connections,
     "HTTP connections at once, 16 to 100000; then those that wait longest for their clients give way [4096]"},
    {"--device-grants-per-second", "deviceGrantsPerSecond", &config::device_grants_per_second,
     "Grants a second that one device may ask for, 1 to 10000, and four seconds' worth at once [500]"},
    {"--log-level", "logLevel", &config::log_level, "trace, debug, info, warning or error [info]"},
    {"--log-format", "logFormat", &config::log_format, "text, or json: one object a line [text]"},
};

tl::unexpected<error> wrong(std::string_view key, std::string_view wanted) {
  return fail(errc::invalid_argument, std::string(key), fmt::format("{} must be {}", key, wanted));
}

result<void> set(config& c, const setting& s, const toml::node& node) {
  if (const auto* text = std::get_if<std::string config::*>(&s.where)) {
    const auto v = node.value_exact<std::string>();
    if (!v) return wrong(s.key, "a string");
    c.*(*text) = *v;
  } else if (const auto* path = std::get_if<io::fs::path config::*>(&s.where)) {
    const auto v = node.value_exact<std::string>();
    if (!v) return wrong(s.key, "a string");
    c.*(*path) = *v;
  } else if (const auto* flag = std::get_if<bool config::*>(&s.where)) {
    const auto v = node.value_exact<bool>();
    if (!v) return wrong(s.key, "true or false");
    c.*(*flag) = *v;
  } else if (const auto* number = std::get_if<std::size_t config::*>(&s.where)) {
    const auto v = node.value_exact<std::int64_t>();
    if (!v || *v < 0) return wrong(s.key, "a whole number");
    c.*(*number) = std::size_t(*v);
  } else {
    auto& list = c.*std::get<std::vector<std::string> config::*>(s.where);
    list.clear();
    if (const auto one = node.value_exact<std::string>()) {
      list.push_back(*one);
      return {};
    }
    const auto* array = node.as_array();
    if (!array) return wrong(s.key, "a string or an array of strings");
    for (const auto& item : *array) {
      const auto v = item.value_exact<std::string>();
      if (!v) return wrong(s.key, "an array of strings");
      list.push_back(*v);
    }
  }
  return {};
}

result<void> read_file_into(config& c, const io::fs::path& file) {
  TRY(const auto text, io::read_file(file, 1 << 20));
  toml::table table;
  try {
    table = toml::parse(text, file.string());
  } catch (const toml::parse_error& e) {
    return fail(errc::invalid_argument,
                fmt::format("{}, line {}: {}", file.string(), e.source().begin.line, std::string(e.description())));
  }
  for (const auto& [key, node] : table) {
    const auto known = std::find_if(std::begin(settings), std::end(settings),
                                    [&key = key](const setting& s) { return key.str() == s.key; });
    if (known == std::end(settings))
      return fail(errc::invalid_argument, std::string(key.str()),
                  fmt::format("{}: unknown key {}; --help names the settings", file.string(), key.str()));
    auto done = set(c, *known, node);
    if (!done) return fail(std::move(std::move(done).error()).during(file.string()));
  }
  return {};
}

result<void> check_broker(const config& c) {
  if (c.brokers.empty()) {
    if (c.broker_password_file.empty() && c.broker_tls_ca.empty()) return {};
    return fail(errc::invalid_argument,
                "--broker-password-file and --broker-tls-ca are for a broker named by --broker");
  }
  CHECK(c.broker_addresses());
  if (c.broker_password_file.empty())
    return fail(errc::invalid_argument, "--broker needs --broker-password-file: the one that the broker's plugin has");
  if (!c.mqtt_tls_cert.empty())
    return fail(errc::invalid_argument,
                "--mqtt-tls-cert is for the broker of the program's own: --broker names another");
  return {};
}

result<void> check_oidc(const config& c) {
  if (c.oidc_issuer.empty() != c.oidc_audience.empty())
    return fail(errc::invalid_argument, "give both of --oidc-issuer and --oidc-audience or none");
  if (c.oidc_issuer.empty() && !c.oidc_ca.empty())
    return fail(errc::invalid_argument, "--oidc-ca is for the server that --oidc-issuer names");
  return {};
}

result<void> check(const config& c) {
  const auto pair = [](const io::fs::path& a, const io::fs::path& b, std::string_view flags) -> result<void> {
    if (a.empty() == b.empty()) return {};
    return fail(errc::invalid_argument, fmt::format("give both of {} or none", flags));
  };
  CHECK(pair(c.tls_cert, c.tls_key, "--tls-cert and --tls-key"));
  CHECK(pair(c.mqtt_tls_cert, c.mqtt_tls_key, "--mqtt-tls-cert and --mqtt-tls-key"));
  if (!c.mqtt_tls_crls.empty() && c.mqtt_tls_ca.empty())
    return fail(errc::invalid_argument, "--mqtt-tls-crl needs --mqtt-tls-ca: who has signed the list");
  if (c.mqtt_tls_crls.size() > config::max_crls)
    return fail(errc::invalid_argument, fmt::format("--mqtt-tls-crl may be given {} times", config::max_crls));
  const bool only_for_lists = !c.brokers.empty() && !c.mqtt_tls_crls.empty();
  if (!c.mqtt_tls_ca.empty() && c.mqtt_tls_cert.empty() && !only_for_lists)
    return fail(errc::invalid_argument, "--mqtt-tls-ca needs --mqtt-tls-cert and --mqtt-tls-key");
  if (c.device_authority && c.mqtt_tls_cert.empty() && c.brokers.empty())
    return fail(
        errc::invalid_argument,
        "--device-authority needs --mqtt-tls-cert and --mqtt-tls-key, or brokers named by --broker that do TLS");
  for (const io::fs::path folder : c.token_file_folders)
    if (!folder.is_absolute() || folder == folder.root_path())
      return fail(errc::invalid_argument, "--token-file-folders must name folders by absolute paths, and not all of /");
  if (!c.master_key_file.empty() && !c.master_key_command.empty())
    return fail(errc::invalid_argument, "give --master-key-file or --master-key-command, not both");
  CHECK(check_broker(c));
  CHECK(check_oidc(c));
  CHECK(c.retention());
  CHECK(c.audit_kept());
  if (c.max_connections < 16 || c.max_connections > 100'000)
    return fail(errc::invalid_argument, "maxConnections", "--max-connections must be 16 to 100000");
  if (c.device_grants_per_second < 1 || c.device_grants_per_second > 10'000)
    return fail(errc::invalid_argument, "deviceGrantsPerSecond", "--device-grants-per-second must be 1 to 10000");
  if (c.log_format != "text" && c.log_format != "json")
    return fail(errc::invalid_argument, "--log-format must be text or json");
  for (const std::string_view level : {"trace", "debug", "info", "warning", "error"})
    if (level == c.log_level) return {};
  return fail(errc::invalid_argument, "--log-level must be trace, debug, info, warning or error");
}

}  // namespace

result<listen_address> parse_listen_address(std::string_view text) {
  const auto bad = [&] {
    return fail(errc::invalid_argument,
                fmt::format("\"{}\" is no address:port: use 127.0.0.1:8080 or [::1]:8080", text));
  };
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return bad();
  auto host = text.substr(0, colon);
  const auto digits = text.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != host.npos)
    return bad();
  listen_address out{.host = std::string(host)};
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (host.empty() || digits.empty() || ec != std::errc{} || end != digits.data() + digits.size()) return bad();
  return out;
}

result<std::vector<listen_address>> backend_config::broker_addresses() const {
  const auto wrong = [](std::string text) { return fail(errc::invalid_argument, "broker", std::move(text)); };
  if (brokers.size() > max_brokers) return wrong(fmt::format("--broker may be given {} times", max_brokers));
  std::vector<listen_address> out;
  for (const auto& text : brokers) {
    auto at = parse_listen_address(text);
    if (!at || at->port == 0) return wrong("--broker must be host:port, as in broker.example:8883");
    for (const auto& other : out)
      if (other.host == at->host && other.port == at->port) return wrong("--broker " + text + " is given twice");
    out.push_back(std::move(*at));
  }
  return out;
}

result<milliseconds> backend_config::retention() const {
  const auto d = parse_iso8601_duration(ledger_retention);
  if (d && *d >= std::chrono::hours(1)) return *d;
  return fail(errc::invalid_argument, "ledgerRetention",
              "--ledger-retention must be an ISO 8601 duration of at least PT1H: P90D, for example");
}

result<milliseconds> backend_config::audit_kept() const {
  const auto d = parse_iso8601_duration(audit_retention);
  if (d && *d >= std::chrono::days(1)) return *d;
  return fail(errc::invalid_argument, "auditRetention",
              "--audit-retention must be an ISO 8601 duration of at least P1D: P365D, for example");
}

std::string make_base_url(bool tls, const std::string& host, std::uint16_t port) {
  const bool v6 = host.find(':') != host.npos;
  return fmt::format("{}://{}{}{}:{}", tls ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

result<std::optional<backend_config>> read_backend_config(int argc, const char* const* argv, std::ostream& out) {
  CLI::App app("evp-backend: gives a fleet of IoT devices any storage, by one API call.", "evp-backend");
  app.set_version_flag("--version", "evp-backend 0.1.0");
  std::string file;
  app.add_option("--config", file, "Configuration file (TOML); flags go before it");
  config given;
  for (const auto& s : settings) {
    if (const auto* text = std::get_if<std::string config::*>(&s.where)) app.add_option(s.flag, given.*(*text), s.help);
    if (const auto* path = std::get_if<io::fs::path config::*>(&s.where))
      app.add_option(s.flag, given.*(*path), s.help);
    if (const auto* flag = std::get_if<bool config::*>(&s.where)) app.add_flag(s.flag, given.*(*flag), s.help);
    if (const auto* number = std::get_if<std::size_t config::*>(&s.where))
      app.add_option(s.flag, given.*(*number), s.help);
    if (const auto* list = std::get_if<std::vector<std::string> config::*>(&s.where))
      app.add_option(s.flag, given.*(*list), s.help)->delimiter(',');
  }
  std::string keys = "Configuration file keys:";
  for (const auto& s : settings) keys += fmt::format(" {}", s.key);
  app.footer(keys +
             ".\nThe first start writes the admin token of the REST API to <data>/admin.token (mode 0600),\n"
             "and the one with which MQTT clients hear of finished uploads to <data>/observer.token;\n"
             "<data>/ready.json says where the program listens, once it does.\n"
             "Environment: EVP_MASTER_KEY is the master key itself, instead of a file or a command.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    std::ostringstream ignored;
    app.exit(e, out, ignored);
    return std::optional<config>();
  } catch (const CLI::ParseError& e) {
    return fail(errc::invalid_argument, std::string(e.what()) + " (--help shows the flags)");
  }

  config c;
  if (!file.empty()) CHECK(read_file_into(c, file));
  for (const auto& s : settings)
    if (app.count(s.flag) > 0) std::visit([&](auto where) { c.*where = given.*where; }, s.where);
  CHECK(check(c));
  return std::optional(std::move(c));
}

}  // namespace evp::apps
