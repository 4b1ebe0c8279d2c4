// The settings of evp-runtime: the table, and its three readers.
#include "apps/runtime_config.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <charconv>

#include "base/crypto.h"
#include "base/token_key.h"

namespace evp::apps {

namespace {

using setter = std::function<result<void>(runtime_settings&, const std::string&)>;

struct setting {
  std::string name;      ///< --name VALUE, and name = "VALUE" in the file
  std::string variable;  ///< of the environment
  std::string help;
  setter set;
  bool is_secret = false;  ///< never on the command line: other users can read it there
};

setter text(std::string runtime_settings::*field) {
  return [field](runtime_settings& s, const std::string& v) -> result<void> {
    s.*field = v;
    return {};
  };
}

result<std::uint64_t> number(const std::string& v, std::uint64_t min, std::uint64_t max) {
  std::uint64_t n = 0;
  const auto [end, problem] = std::from_chars(v.data(), v.data() + v.size(), n);
  if (v.empty() || problem != std::errc() || end != v.data() + v.size() || n < min || n > max)
    return fail(errc::invalid_argument, "must be a number from " + std::to_string(min) + " to " + std::to_string(max));
  return n;
}

template <class T>
setter number_of(T runtime_settings::*field, std::uint64_t min, std::uint64_t max) {
  return [=](runtime_settings& s, const std::string& v) -> result<void> {
    TRY(const auto n, number(v, min, max));
    s.*field = T(n);
    return {};
  };
}

setter one_of(std::string runtime_settings::*field, std::vector<std::string> allowed) {
  return [=](runtime_settings& s, const std::string& v) -> result<void> {
    std::string list;
    for (const auto& a : allowed) {
      if (a == v) {
        s.*field = v;
        return {};
      }
      list += (list.empty() ? "" : ", ") + a;
    }
    return fail(errc::invalid_argument, "must be one of " + list);
  };
}

result<void> set_proxy_port(runtime_settings& s, const std::string& v) {
  TRY(const auto n, number(v, 1, 65535));
  s.http_proxy.port = std::uint16_t(n);
  return {};
}

result<void> set_deadline(runtime_settings& s, const std::string& v) {
  TRY(const auto d, parse_iso8601_duration(v));
  if (d < seconds(1)) return fail(errc::invalid_argument, "must be at least PT1S");
  s.upload_deadline = d;
  return {};
}

const std::vector<setting>& table() {
  using s = runtime_settings;
  static const std::vector<setting> all = {
      {"data-dir", "EVP_DATA_DIR", "where modules, workspaces and state live (/evp_data)", text(&s::data_directory)},
      {"platform", "EVP_IOT_PLATFORM", "TB, which is EVP2", one_of(&s::platform, {"TB", "EVP2"})},
      {"mqtt-host", "EVP_MQTT_HOST", "host of the hub's broker (127.0.0.1)", text(&s::mqtt_host)},
      {"mqtt-port", "EVP_MQTT_PORT", "its port (1883, with TLS 8883)", number_of(&s::mqtt_port, 1, 65535)},
      {"mqtt-clientid", "EVP_MQTT_CLIENTID", "MQTT client id (the client certificate's CN)", text(&s::mqtt_client_id)},
      {"mqtt-username", "EVP_MQTT_USERNAME", "MQTT user name: the device's id", text(&s::mqtt_username)},
      {"mqtt-password", "EVP_MQTT_PASSWORD", "MQTT password: the device's token",
       [](s& x, const std::string& v) -> result<void> {
         x.mqtt_password = secret(v);
         return {};
       },
       true},
      {"mqtt-tls", "EVP_MQTT_TLS", "auto, on or off; auto is on where a certificate for it is named (auto)",
       one_of(&s::mqtt_tls, {"auto", "on", "off"})},
      {"tls-ca-cert", "EVP_TLS_CA_CERT", "PEM file of CAs for MQTT and HTTPS (the system's)", text(&s::tls_ca)},
      {"mqtt-tls-ca-cert", "EVP_MQTT_TLS_CA_CERT", "PEM file of CAs for MQTT", text(&s::mqtt_ca)},
      {"mqtt-tls-client-cert", "EVP_MQTT_TLS_CLIENT_CERT", "PEM file of the client certificate",
       text(&s::mqtt_certificate)},
      {"mqtt-tls-client-key", "EVP_MQTT_TLS_CLIENT_KEY", "PEM file of its key", text(&s::mqtt_key)},
      {"device-key", "EVP_DEVICE_KEY",
       "PKCS #11 URI of the device's key on a token, instead of a key in a file; the PIN's file is its pin-source",
       text(&s::device_key)},
      {"enroll-url", "EVP_ENROLL_URL",
       "base URL of the backend's REST API: a device without a certificate gets one there, and renews it",
       text(&s::enrol_url)},
      {"enroll-token-file", "EVP_ENROLL_TOKEN_FILE", "file with the enrolment token", text(&s::enrol_token_file)},
      {"enroll-id", "EVP_ENROLL_ID", "name to propose there, with a token for a fleet (the backend's choice)",
       text(&s::enrol_id)},
      {"https-ca-cert", "EVP_HTTPS_CA_CERT", "PEM file of CAs for downloads, and for storages without their own",
       text(&s::https_ca)},
      {"mqtt-proxy-host", "EVP_MQTT_PROXY_HOST", "not offered: MQTT goes directly", text(&s::mqtt_proxy_host)},
      {"http-proxy-host", "EVP_HTTP_PROXY_HOST", "proxy for HTTP and HTTPS",
       [](s& x, const std::string& v) -> result<void> {
         x.http_proxy.host = v;
         return {};
       }},
      {"http-proxy-port", "EVP_HTTP_PROXY_PORT", "its port", set_proxy_port},
      {"http-proxy-username", "EVP_HTTP_PROXY_USERNAME", "its user name",
       [](s& x, const std::string& v) -> result<void> {
         x.http_proxy.username = v;
         return {};
       }},
      {"http-proxy-password", "EVP_HTTP_PROXY_PASSWORD", "its password",
       [](s& x, const std::string& v) -> result<void> {
         x.http_proxy.password = secret(v);
         return {};
       },
       true},
      {"report-status-interval-min", "EVP_REPORT_STATUS_INTERVAL_MIN_SEC", "seconds between reports at least (3)",
       number_of(&s::report_min, 1, 86'400)},
      {"report-status-interval-max", "EVP_REPORT_STATUS_INTERVAL_MAX_SEC", "seconds between reports at most (180)",
       number_of(&s::report_max, 1, 86'400)},
      {"transfers", "EVP_TRANSFERS", "transfers at once (8)", number_of(&s::transfers, 1, 256)},
      {"live-blobs-per-instance", "EVP_LIVE_BLOBS_PER_INSTANCE", "open file operations of one instance (1000)",
       number_of(&s::live_per_instance, 1, 10'000)},
      {"offline-grants", "EVP_OFFLINE_GRANTS",
       "files that have a grant beforehand, so that they go on without the hub, where the storage gives such; 0: none "
       "(50)",
       number_of(&s::offline_grants, 0, 1'000)},
      {"queue-files", "EVP_QUEUE_FILES", "open file operations of all instances (10000)",
       number_of(&s::queue_files, 1, 1'000'000)},
      {"queue-bytes", "EVP_QUEUE_BYTES", "what their files may measure together (64 GiB)",
       number_of(&s::queue_bytes, 1, 1ULL << 50)},
      {"spool-bytes", "EVP_SPOOL_BYTES", "what blobs from memory may take of the runtime's disk (1 GiB)",
       number_of(&s::spool_bytes, 0, 1ULL << 50)},
      {"queue-when-full", "EVP_QUEUE_WHEN_FULL",
       "refuse, drop-oldest or drop-lowest-priority: what a file beyond these bounds means (refuse)",
       one_of(&s::queue_when_full, {"refuse", "drop-oldest", "drop-lowest-priority"})},
      {"sync-sources", "EVP_SYNC_SOURCES",
       "on: flush a module's file to the disk before its upload is accepted, one flush more for each (off)",
       one_of(&s::sync_sources, {"on", "off"})},
      {"transfers-per-storage", "EVP_TRANSFERS_PER_STORAGE", "transfers to one storage at once (8)",
       number_of(&s::transfers_per_storage, 1, 256)},
      {"upload-rate", "EVP_UPLOAD_RATE",
       "bytes per second of all uploads together; each transfer gets its share of `transfers` (no bound)",
       number_of(&s::upload_rate, 0, 1ULL << 40)},
      {"upload-windows", "EVP_UPLOAD_WINDOWS",
       "hours of the day in UTC in which files of low and normal priority begin, as 22:00-06:00 (always)",
       text(&s::upload_windows)},
      {"metered", "EVP_METERED", "on: the link costs money, only high priority begins (off)",
       one_of(&s::metered, {"on", "off"})},
      {"upload-deadline", "EVP_UPLOAD_DEADLINE", "ISO 8601: a file operation ends at the latest after this (P1D)",
       set_deadline},
      {"log-level", "EVP_LOG_LEVEL", "debug, info, warn or error (info)",
       one_of(&s::log_level, {"debug", "info", "warn", "error"})},
      {"log-format", "EVP_LOG_FORMAT", "text, or json: one object a line (text)",
       one_of(&s::log_format, {"text", "json"})},
  };
  return all;
}

const setting* find_setting(std::string_view name) {
  for (const auto& s : table())
    if (s.name == name) return &s;
  return nullptr;
}

result<void> apply(runtime_settings& s, const setting& what, const std::string& value, const std::string& where) {
  if (auto done = what.set(s, value); !done) return fail(std::move(std::move(done).error()).at(where).during(where));
  return {};
}

std::string_view trimmed(std::string_view v) {
  const auto first = v.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return v.substr(first, v.find_last_not_of(" \t\r") - first + 1);
}

/// key = value lines, values quoted or bare, '#' comments: the flat subset of TOML that this needs.
result<void> read_config_file(runtime_settings& s, const std::string& path) {
  constexpr std::size_t max_bytes = 64 * 1024;
  TRY(const auto bytes, io::read_file(path, max_bytes));
  std::size_t line_number = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto end = std::min(bytes.find('\n', at), bytes.size());
    const auto line = trimmed(std::string_view(bytes).substr(at, end - at));
    at = end + 1;
    const std::string where = path + ":" + std::to_string(++line_number);
    if (line.empty() || line.front() == '#') continue;
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return fail(errc::invalid_argument, where, where + ": write key = \"value\"");
    std::string name(trimmed(line.substr(0, equals)));
    for (char& c : name)
      if (c == '_') c = '-';
    auto value = trimmed(line.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"') {
      const auto close = value.find('"', 1);
      const auto rest = close == std::string_view::npos ? std::string_view("?") : trimmed(value.substr(close + 1));
      if (!rest.empty() && rest.front() != '#')
        return fail(errc::invalid_argument, where, where + ": the value's quotes don't match");
      value = value.substr(1, close - 1);
    } else {
      value = trimmed(value.substr(0, value.find('#')));
    }
    const auto* what = find_setting(name);
    if (!what) return fail(errc::invalid_argument, where, where + ": unknown setting; --help lists them");
    CHECK(apply(s, *what, std::string(value), where));
  }
  return {};
}

result<std::string> read_bundle(const std::string& path, const std::string& where) {
  if (path.empty()) return std::string();
  auto pem = io::read_file(path, 1 << 20);
  if (!pem) return fail(std::move(std::move(pem).error()).at(where).during(where));
  if (auto good = check_pem_certificates(*pem); !good)
    return fail(std::move(std::move(good).error()).at(where).during(where + " " + path));
  return pem;
}

/// The common name of a certificate, or empty: the public agent takes it as its client id.
std::string common_name_of(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_mem_buf(pem.data(), int(pem.size())), BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr),
                                                                X509_free);
  if (!certificate) return {};
  char name[129] = {};
  const int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name, sizeof name);
  return size > 0 ? std::string(name, std::size_t(size)) : std::string();
}

}  // namespace

result<runtime_settings> read_runtime_settings(const std::vector<std::string>& arguments, const environment& env) {
  runtime_settings s;
  std::vector<std::pair<const setting*, std::string>> flags;
  std::string config = env("EVP_CONFIG").value_or("");
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      s.show_help = true;
      return s;
    }
    const auto equals = argument.find('=');
    const std::string flag = argument.substr(0, equals);
    const auto* what = flag.starts_with("--") ? find_setting(flag.substr(2)) : nullptr;
    if (what && what->is_secret)
      return fail(
          errc::invalid_argument, flag,
          flag + ": other users can read the command line: use " + what->variable + " or the configuration file");
    if (!what && flag != "--config")
      return fail(errc::invalid_argument, flag, flag + ": unknown; --help lists what there is");
    if (equals == std::string::npos && i + 1 == arguments.size())
      return fail(errc::invalid_argument, flag, flag + ": needs a value");
    std::string value = equals == std::string::npos ? arguments[++i] : argument.substr(equals + 1);
    if (what) {
      flags.emplace_back(what, std::move(value));
    } else {
      config = std::move(value);
    }
  }
  if (!config.empty()) CHECK(read_config_file(s, config));
  for (const auto& what : table()) {
    const auto value = env(what.variable);
    if (value && !value->empty()) CHECK(apply(s, what, *value, what.variable));
  }
  for (const auto& [what, value] : flags) CHECK(apply(s, *what, value, "--" + what->name));
  return s;
}

result<std::optional<runtime::identity_options>> to_identity_options(const runtime_settings& s) {
  if (s.enrol_url.empty()) return std::nullopt;
  const bool is_secure = s.enrol_url.starts_with("https://");
  const bool is_here = s.enrol_url.starts_with("http://127.0.0.1:") || s.enrol_url.starts_with("http://[::1]:");
  if (!is_secure && !is_here)
    return fail(errc::invalid_argument, "enroll-url",
                "enroll-url must be https://...: a token that others see is theirs");
  if (s.enrol_token_file.empty())
    return fail(errc::invalid_argument, "enroll-token-file",
                "enroll-url needs enroll-token-file: the file with the token");
  if (!s.mqtt_certificate.empty())
    return fail(errc::invalid_argument, "mqtt-tls-client-cert",
                "give mqtt-tls-client-cert or enroll-url: a device that enrols keeps its certificate itself");
  runtime::identity_options out;
  out.url = s.enrol_url;
  while (out.url.ends_with('/')) out.url.pop_back();
  out.token_file = s.enrol_token_file;
  out.id = s.enrol_id;
  out.folder = io::fs::path(s.data_directory) / "identity";
  TRY(out.ca_pem, read_bundle(s.https_ca.empty() ? s.tls_ca : s.https_ca, "https-ca-cert"));
  if (!s.http_proxy.host.empty()) out.via = s.http_proxy;
  return out;
}

result<std::optional<device_key>> to_device_key(const runtime_settings& s) {
  constexpr std::size_t max_pin_bytes = 256;
  if (s.device_key.empty()) return std::nullopt;
  if (!s.mqtt_key.empty())
    return fail(errc::invalid_argument, "device-key", "give device-key or mqtt-tls-client-key: a device has one key");
  if (s.mqtt_tls == "off")
    return fail(errc::invalid_argument, "mqtt-tls", "device-key is for TLS: mqtt-tls must not be off");
  if (s.enrol_url.empty() && s.mqtt_certificate.empty())
    return fail(errc::invalid_argument, "device-key",
                "device-key needs a certificate: give enroll-url or mqtt-tls-client-cert");
  auto place = parse_token_uri(s.device_key);
  if (!place) return fail(std::move(std::move(place).error()).during("device-key"));
  secret pin;
  if (!place->pin_file.empty()) {
    auto text = io::read_file(place->pin_file, max_pin_bytes);
    if (!text) return fail(std::move(std::move(text).error()).during("device-key: " + place->pin_file));
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    pin = secret(std::move(*text));
  }
  auto key = open_token_key(*place, pin);
  if (!key) return fail(std::move(std::move(key).error()).during("device-key"));
  return std::optional(std::move(*key));
}

result<runtime::runtime_options> to_runtime_options(const runtime_settings& s) {
  runtime::runtime_options o;
  if (!s.mqtt_proxy_host.empty())
    return fail(errc::unsupported, "mqtt-proxy-host", "mqtt-proxy-host: MQTT through a proxy is not offered: unset it");
  if (s.device_key.empty() && s.mqtt_certificate.empty() != s.mqtt_key.empty())
    return fail(errc::invalid_argument, "mqtt-tls-client-cert",
                "mqtt-tls-client-cert and mqtt-tls-client-key go together");
  if (s.report_min > s.report_max)
    return fail(errc::invalid_argument, "report-status-interval-min",
                "report-status-interval-min is above the maximum");
  if (s.http_proxy.host.empty() != (s.http_proxy.port == 0))
    return fail(errc::invalid_argument, "http-proxy-port", "http-proxy-host and http-proxy-port go together");

  const std::string mqtt_ca = s.mqtt_ca.empty() ? s.tls_ca : s.mqtt_ca;
  TRY(const auto checked, read_bundle(mqtt_ca, "mqtt-tls-ca-cert"));
  TRY(const auto certificate, read_bundle(s.mqtt_certificate, "mqtt-tls-client-cert"));
  o.data_directory = s.data_directory;
  o.broker.host = s.mqtt_host;
  o.broker.client_id = s.mqtt_client_id.empty() ? common_name_of(certificate) : s.mqtt_client_id;
  o.broker.username = s.mqtt_username;
  o.broker.password = s.mqtt_password;
  // As with the public agent, a CA for everything does not turn MQTT's TLS on by itself.
  const bool is_named = !s.mqtt_ca.empty() || !s.mqtt_certificate.empty() || s.mqtt_port == 8883;
  if (s.mqtt_tls == "on" || (s.mqtt_tls == "auto" && is_named))
    o.broker.tls = mqtt::tls_options{mqtt_ca, s.mqtt_certificate, s.mqtt_key};
  o.broker.port = s.mqtt_port != 0 ? s.mqtt_port : o.broker.tls ? 8883 : 1883;
  o.hub.reports.interval_min = s.report_min;
  o.hub.reports.interval_max = s.report_max;
  TRY(o.uploads.default_ca_pem, read_bundle(s.https_ca.empty() ? s.tls_ca : s.https_ca, "https-ca-cert"));
  if (!s.http_proxy.host.empty()) o.uploads.via = s.http_proxy;
  o.uploads.limits.transfers = s.transfers;
  o.uploads.limits.asked_ahead = 2 * s.transfers;
  o.uploads.limits.offline_grants = s.offline_grants;
  auto& q = o.uploads.queue;
  q.files = s.queue_files;
  q.bytes = s.queue_bytes;
  q.spool_bytes = s.spool_bytes;
  q.files_per_instance = s.live_per_instance;
  q.deadline = s.upload_deadline;
  q.active_per_storage = std::max(q.active_per_storage, 3 * s.transfers);
  if (s.queue_when_full == "drop-oldest") q.policy = runtime::upload::when_full::drop_oldest;
  if (s.queue_when_full == "drop-lowest-priority") q.policy = runtime::upload::when_full::drop_lowest_priority;
  o.uploads.sync_sources = s.sync_sources == "on";
  o.uploads.limits.transfers_per_storage = s.transfers_per_storage;
  o.uploads.bytes_per_second = s.upload_rate;
  q.metered = s.metered == "on";
  auto windows = runtime::upload::schedule::parse(s.upload_windows);
  if (!windows) return fail(std::move(std::move(windows).error()).at("upload-windows").during("upload-windows"));
  q.windows = std::move(*windows);
  return o;
}

std::string runtime_usage() {
  std::string out =
      "evp-runtime: runs modules on a device and moves their files to the storage that the hub names.\n\n"
      "Usage: evp-runtime [--config FILE] [--SETTING VALUE]...\n\n"
      "A flag wins over the environment, the environment over the file (lines of: setting = \"value\").\n\n";
  for (const auto& s : table()) {
    std::string left = s.is_secret ? "  (" + s.name + ")" : "  --" + s.name;
    left.resize(std::max<std::size_t>(left.size() + 1, 32), ' ');
    out += left + s.help + " [" + s.variable + "]\n";
  }
  return out + "\nSettings in parentheses are secrets: only from the environment or the file.\n";
}

std::vector<std::string> runtime_secret_variables() {
  std::vector<std::string> names;
  for (const auto& s : table())
    if (s.is_secret) names.push_back(s.variable);
  return names;
}

}  // namespace evp::apps
