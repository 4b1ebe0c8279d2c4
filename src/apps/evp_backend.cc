// evp-backend: wires the parts together, serves, and stops them in order.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iostream>

#include "api/mqtt_hub.h"
#include "api/rest.h"
#include "api/upload_json.h"
#include "apps/backend_config.h"
#include "apps/backend_inputs.h"
#include "apps/log_format.h"
#include "apps/open_files.h"
#include "auth/credentials/credential_counts.h"
#include "auth/credentials/metadata.h"
#include "backend/backup.h"
#include "backend/revocation_files.h"
#include "base/crypto.h"
#include "http/client.h"
#include "mqtt/embedded_broker.h"
#include "storage/endpoint_guard.h"

namespace evp::apps {
namespace {

constexpr milliseconds stop_grace{3'000};
constexpr milliseconds broker_wait{15'000};  // for the first session and the list of devices
constexpr milliseconds others_wait{3'000};   // for further brokers; one that is down must not hold up the start
constexpr std::size_t disk_threads = 4;

/// Secrets of a process lie in its memory: neither cores nor debuggers of the same user may read it.
void protect_process() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::umask(077);
}

class program {
 public:
  program(io::asio::io_context& context, backend_config config)
      : context_(context),
        config_(std::move(config)),
        outward_(context.get_executor()),
        names_(storage::make_system_resolver()) {}

  /// Returns when the program serves, and ready.json says where.
  io::task<result<void>> start();
  /// Stops what was started, last first.
  io::task<void> stop();

 private:
  result<void> start_broker();
  result<io::fs::path> device_issuers();
  /// Where and how the hub connects: the broker of the program's own, or those that --broker names.
  result<std::vector<api::broker_address>> brokers() const;
  result<void> open_backend();
  result<void> start_issuer();
  result<void> start_server();
  io::task<result<void>> start_revocation_lists();
  io::task<result<void>> wait_for_broker();
  result<void> write_ready() const;

  io::asio::io_context& context_;
  backend_config config_;
  listen_address rest_, mqtt_;
  std::string rest_url_;
  io::unique_fd lock_;
  io::system_clock clock_;
  http::client outward_;
  auth::metadata_transport metadata_{outward_};
  std::unique_ptr<storage::resolver> names_;
  std::unique_ptr<storage::endpoint_guard> guard_;
  std::unique_ptr<storage::guarded_transport> guarded_;
  io::pool disk_{disk_threads};
  std::unique_ptr<mqtt::embedded_broker> broker_;
  std::unique_ptr<backend::backend> backend_;
  std::unique_ptr<backend::revocation_files> lists_;
  std::unique_ptr<api::bearer_auth> auth_;
  std::string observer_token_sha256_;
  api::metrics metrics_;
  std::unique_ptr<api::mqtt_hub> hub_;
  std::unique_ptr<api::oidc_issuer> issuer_;
  std::unique_ptr<api::rest_context> routes_;
  std::unique_ptr<http::server> server_;
};

/// Whose certificates devices may show: the operator's issuers, and the backend's own authority.
result<io::fs::path> program::device_issuers() {
  if (!backend_->enrolment.has_authority()) return config_.mqtt_tls_ca;
  auto all = backend_->enrolment.authority_certificate();
  if (!config_.mqtt_tls_ca.empty()) {
    TRY(const auto theirs, io::read_file(config_.mqtt_tls_ca, 1 << 20));
    all += theirs;
  }
  const auto file = config_.data / "device-issuers.pem";
  CHECK(io::write_file_durably(file, all, 0600));
  return file;
}

result<void> program::start_broker() {
  mqtt::embedded_broker_options o;
  TRY(o.plugin, plugin_path(config_));
  o.address = mqtt_.host;
  o.port = mqtt_.port;
  o.allow_plaintext = config_.allow_plaintext;
  if (!config_.mqtt_tls_cert.empty()) {
    mqtt::listener_tls tls;
    tls.cert_file = config_.mqtt_tls_cert;
    tls.key_file = config_.mqtt_tls_key;
    TRY(tls.ca_file, device_issuers());
    tls.require_certificate = !tls.ca_file.empty();
    o.tls = std::move(tls);
  }
  o.on_log = [](std::string line) { spdlog::info("broker: {}", line); };
  TRY(broker_, mqtt::embedded_broker::start(context_.get_executor(), std::move(o)));
  mqtt_.port = broker_->port();
  return {};
}

result<void> back_up(const backend_config& c) {
  return backend::back_up({c.data, c.database, c.master_key_file, {"admin.token", "observer.token"}, c.back_up_to});
}

result<std::vector<api::broker_address>> program::brokers() const {
  const auto client_id = "evp-backend-" + random_id(10);
  std::vector<api::broker_address> out;
  if (broker_) {
    out.push_back({"", broker_->backend_options(client_id)});
    return out;
  }
  TRY(const auto password, api::read_token_file(config_.broker_password_file));
  TRY(const auto addresses, config_.broker_addresses());
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const auto& at = addresses[i];
    mqtt::options o;
    o.host = at.host;
    o.port = at.port;
    o.client_id = client_id;
    o.username = mqtt::control::backend_username;
    o.password = password;
    o.reconnect_min = milliseconds(100);
    o.reconnect_max = milliseconds(1'000);
    if (!config_.broker_tls_ca.empty()) o.tls.emplace().ca_file = config_.broker_tls_ca.string();
    out.push_back({config_.brokers[i], std::move(o)});
  }
  return out;
}

result<void> program::open_backend() {
  TRY(auto networks, storage::endpoint_guard::parse_networks(config_.allowed_endpoint_networks));
  guard_ = std::make_unique<storage::endpoint_guard>(*names_, std::move(networks));
  guarded_ = std::make_unique<storage::guarded_transport>(outward_, *guard_);

  backend::backend_options o;
  o.data_dir = config_.data;
  o.database_url = config_.database;
  TRY(o.master_key, master_key_of(config_));
  o.public_base_url = config_.public_url.empty() ? rest_url_ : config_.public_url;
  while (!o.public_base_url.empty() && o.public_base_url.back() == '/') o.public_base_url.pop_back();
  o.check_endpoint = [this](std::string endpoint) { return guard_->check_endpoint(std::move(endpoint)); };
  TRY(o.ledger_retention, config_.retention());
  o.device_authority = config_.device_authority;
  TRY(o.audit_retention, config_.audit_kept());
  o.limits.per_device_per_second = double(config_.device_grants_per_second);
  o.limits.per_device_burst = 4 * o.limits.per_device_per_second;
  o.write_hook = api::write_hook_body;
  o.metadata = &metadata_;
  o.token_folders = auth::token_folders({config_.token_file_folders.begin(), config_.token_file_folders.end()});
  TRY(backend_, backend::backend::open(context_.get_executor(), *guarded_, clock_, std::move(o)));
  return {};
}

result<void> program::start_issuer() {
  if (config_.oidc_issuer.empty()) return {};
  if (auto good = api::check_oidc_issuer(config_.oidc_issuer); !good)
    return fail(errc::invalid_argument, "--oidc-issuer " + good.error().message());
  api::oidc_options o{config_.oidc_issuer, config_.oidc_audience, config_.oidc_roles_claim, ""};
  if (!config_.oidc_ca.empty()) { TRY(o.ca_pem, io::read_file(config_.oidc_ca, 1 << 20)); }
  issuer_ = std::make_unique<api::oidc_issuer>(context_.get_executor(), outward_, clock_, std::move(o));
  issuer_->start();
  return {};
}

// The server listens first, since devices are told its port, which the system may choose; until the backend is there
// every request is answered 503.
result<void> program::start_server() {
  routes_ = std::make_unique<api::rest_context>(*auth_, metrics_, disk_, clock_);
  routes_->issuer = issuer_.get();
  for (const auto& text : config_.balancer_networks) {
    auto network = storage::ip_network::parse(text);
    if (!network) return fail(std::move(std::move(network).error()).during("--balancer-networks"));
    routes_->balancers.push_back(*network);
  }
  routes_->brokers = [this] { return hub_ ? hub_->brokers() : std::vector<api::broker_state>(); };
  routes_->elder_sessions_ended = [this] { return hub_ ? hub_->elder_sessions_ended() : 0; };
  routes_->credentials = [] {
    const auto n = auth::credential_counters();
    return api::credential_counts{n.hits, n.refreshes, n.failures};
  };
  routes_->requests_under_way = [this] { return hub_ ? hub_->requests_under_way() : 0; };
  http::server_options o;
  o.address = rest_.host;
  o.port = rest_.port;
  o.max_connections = raise_open_files(config_.max_connections);
  if (config_.tls()) o.tls = http::tls_files{config_.tls_cert, config_.tls_key};
  if (o.tls && config_.device_authority) o.tls->client_issuer = backend::enrolment::authority_name;
  server_ = std::make_unique<http::server>(context_.get_executor(), api::make_router(*routes_), std::move(o));
  routes_->connections = [this] { return server_->count(); };
  CHECK(server_->start());
  rest_url_ = make_base_url(config_.tls(), rest_.host, server_->port());
  return {};
}

/// Before any broker is told of devices.
io::task<result<void>> program::start_revocation_lists() {
  if (config_.mqtt_tls_crls.empty()) co_return result<void>();
  backend::revocation_files_options o;
  o.lists.assign(config_.mqtt_tls_crls.begin(), config_.mqtt_tls_crls.end());
  o.issuers = config_.mqtt_tls_ca;
  lists_ = std::make_unique<backend::revocation_files>(context_.get_executor(), backend_->revocations, disk_, clock_,
                                                       std::move(o));
  routes_->revocation_lists = [this] {
    std::vector<api::revocation_list_state> out;
    for (const auto& s : lists_->states()) out.push_back({out.size() + 1, s.good, s.entries});
    return out;
  };
  auto outcome = co_await lists_->start();
  co_return outcome;
}

result<void> program::write_ready() const {
  const auto text = fmt::format(R"({{"rest":"{}","mqtt":{{"host":"{}","port":{}}},"pid":{}}})"
                                "\n",
                                rest_url_, mqtt_.host, mqtt_.port, ::getpid());
  return io::write_file_durably(config_.data / "ready.json", text, 0600);
}

io::task<result<void>> program::wait_for_broker() {
  for (milliseconds waited{0}; waited < broker_wait; waited += milliseconds(20)) {
    const auto all = hub_->brokers();
    const auto ready = std::count_if(all.begin(), all.end(), [](const auto& b) { return b.ready; });
    if (ready == std::ssize(all)) co_return result<void>();
    if (ready > 0 && waited >= others_wait) {
      spdlog::warn("{} of {} brokers do not answer yet: their devices must wait", std::ssize(all) - ready, all.size());
      co_return result<void>();
    }
    const bool on = co_await io::sleep_for(milliseconds(20));
    if (!on) co_return fail(errc::cancelled, "stopped while starting");
  }
  co_return fail(errc::unavailable, "no broker answers: its messages are in the log above");
}

io::task<void> program::stop() {
  std::error_code ec;
  io::fs::remove(config_.data / "ready.json", ec);
  if (backend_) backend_->end_watches();
  if (server_) co_await server_->stop(stop_grace);
  if (issuer_) co_await issuer_->stop();
  if (lists_) co_await lists_->stop();
  if (hub_) co_await hub_->stop(stop_grace);
  if (backend_) co_await backend_->stop();
  if (broker_) co_await broker_->stop();
}

io::task<result<void>> program::start() {
  CO_TRY(rest_, parse_listen_address(config_.listen));
  const bool own_broker = config_.brokers.empty();
  CO_TRY(const auto mqtt, mqtt_addresses(config_));
  mqtt_ = mqtt.front();
  CO_CHECK(check_listener(rest_, config_.tls(), config_.allow_plaintext, "--listen", "--tls-cert and --tls-key"));
  const bool mqtt_tls = !config_.mqtt_tls_cert.empty() || !config_.broker_tls_ca.empty();
  for (const auto& at : mqtt)
    CO_CHECK(check_listener(at, mqtt_tls, config_.allow_plaintext, own_broker ? "--mqtt-listen" : "--broker",
                            own_broker ? "--mqtt-tls-cert and --mqtt-tls-key" : "--broker-tls-ca"));
  CO_TRY(lock_, lock_data(config_.data));
  std::error_code ec;
  io::fs::remove(config_.data / "ready.json", ec);  // of a process that was killed
  CO_TRY(const auto token, api::open_token_file(config_.data / "admin.token"));
  auth_ = std::make_unique<api::bearer_auth>(token);
  CO_TRY(const auto observer, api::open_token_file(config_.data / "observer.token"));
  observer_token_sha256_ = sha256(observer.reveal());

  CO_CHECK(start_issuer());
  CO_CHECK(start_server());
  CO_CHECK(open_backend());
  CO_CHECK(co_await backend_->start());
  CO_CHECK(co_await start_revocation_lists());
  // The broker must know whose certificates to trust, and that stands in the database.
  if (own_broker) CO_CHECK(start_broker());
  CO_TRY(auto brokers, this->brokers());
  hub_ = std::make_unique<api::mqtt_hub>(context_.get_executor(), *backend_, metrics_, std::move(brokers),
                                         observer_token_sha256_);
  backend_->set_gateway(hub_.get());
  backend_->grants.on_answered = [this](const backend::grants::answered& a) { metrics_.on_grant(a); };
  backend_->grants.on_reported = [this](const backend::grants::answered& a) { metrics_.on_report(a); };
  routes_->backend = backend_.get();
  hub_->start();
  CO_CHECK(co_await wait_for_broker());
  CO_CHECK(write_ready());
  spdlog::info("serving: REST at {}, MQTT at {} port {}, data in {}", rest_url_, mqtt_.host, mqtt_.port,
               config_.data.string());
  co_return result<void>();
}

void set_up_log(const std::string& level, const std::string& format) {
  auto log = spdlog::stderr_logger_mt("evp-backend");
  log->set_formatter(make_log_formatter(format == "json" ? log_format::json : log_format::text, "evp-backend"));
  log->set_level(spdlog::level::from_str(level));
  log->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(log));
}

io::task<void> serve(program& p, int& status) {
  using namespace io::asio::experimental::awaitable_operators;
  io::asio::signal_set signals(co_await io::asio::this_coro::executor, SIGINT, SIGTERM);
  auto starting = p.start() || signals.async_wait(io::asio::use_awaitable);
  const auto first = co_await std::move(starting);
  if (first.index() == 0 && std::get<0>(first)) {
    const int signal = co_await signals.async_wait(io::asio::use_awaitable);
    spdlog::info("stopping on signal {}", signal);
  } else if (first.index() == 0) {
    const auto& e = std::get<0>(first).error();
    spdlog::error("cannot start: {}", e.message());
    status = 1;
  }
  co_await p.stop();
}

int run(backend_config config) {
  set_up_log(config.log_level, config.log_format);
  io::asio::io_context context(1);
  int status = 0;
  program p(context, std::move(config));
  io::asio::co_spawn(context, serve(p, status), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
  return status;
}

}  // namespace
}  // namespace evp::apps

int main(int argc, char** argv) {
  evp::apps::protect_process();
  auto config = evp::apps::read_backend_config(argc, argv, std::cout);
  if (!config) {
    std::cerr << "evp-backend: " << config.error().message() << "\n";
    return 2;
  }
  if (!*config) return 0;
  if (!(*config)->back_up_to.empty()) {
    const auto done = evp::apps::back_up(**config);
    if (!done) std::cerr << "evp-backend: " << done.error().message() << "\n";
    return done ? 0 : 1;
  }
  return evp::apps::run(std::move(**config));
}
