// evp-backend: wires the parts together, serves, and stops them in order.
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iostream>

#include "api/mqtt_hub.h"
#include "api/rest.h"
#include "api/upload_json.h"
#include "apps/backend_config.h"
#include "auth/credentials/metadata.h"
#include "base/crypto.h"
#include "http/client.h"
#include "mqtt/embedded_broker.h"
#include "storage/endpoint_guard.h"

namespace evp::apps {
namespace {

constexpr milliseconds stop_grace{3'000};
constexpr milliseconds broker_wait{15'000};  // for the first session and the list of devices
constexpr std::size_t disk_threads = 4;

/// Secrets of a process lie in its memory: neither cores nor debuggers of the same user may read it.
void protect_process() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::umask(077);
}

/// Two backends on one folder would each believe its memory. The lock ends with the process.
result<io::unique_fd> lock_data(const io::fs::path& data) {
  CHECK(io::make_directories(data, 0700));
  const auto file = data / "lock";
  io::unique_fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail(errno_error(errno, file.string()));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(errc::failed_precondition,
                "another evp-backend works on " + data.string() + ": stop it, or choose another folder with --data");
  return fd;
}

result<io::fs::path> plugin_path(const backend_config& c) {
  if (!c.broker_plugin.empty()) return c.broker_plugin;
  std::error_code ec;
  const auto program = io::fs::read_symlink("/proc/self/exe", ec);
  const auto beside = program.parent_path().parent_path() / "lib";
  for (const auto& folder : {beside, beside / "evp"})
    if (io::fs::exists(folder / "evp_broker_plugin.so", ec)) return folder / "evp_broker_plugin.so";
  return fail(errc::not_found, "evp_broker_plugin.so is not in " + beside.string() + ": name it with --broker-plugin");
}

result<void> check_listener(const listen_address& a, bool tls, bool allow_plaintext, std::string_view flag,
                            std::string_view tls_flags) {
  if (tls || allow_plaintext || http::is_loopback_address(a.host)) return {};
  return fail(errc::failed_precondition, std::string(flag) + " " + a.host + " is not on loopback: give " +
                                             std::string(tls_flags) +
                                             ", or --allow-plaintext if the network is yours alone");
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
  result<void> open_backend();
  result<void> start_server();
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
  std::unique_ptr<api::bearer_auth> auth_;
  std::string observer_token_sha256_;
  api::metrics metrics_;
  std::unique_ptr<api::mqtt_hub> hub_;
  std::unique_ptr<api::rest_context> routes_;
  std::unique_ptr<http::server> server_;
};

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
    tls.ca_file = config_.mqtt_tls_ca;
    tls.require_certificate = !config_.mqtt_tls_ca.empty();
    o.tls = std::move(tls);
  }
  o.on_log = [](std::string line) { spdlog::info("broker: {}", line); };
  TRY(broker_, mqtt::embedded_broker::start(context_.get_executor(), std::move(o)));
  return {};
}

result<void> program::open_backend() {
  TRY(auto networks, storage::endpoint_guard::parse_networks(config_.allowed_endpoint_networks));
  guard_ = std::make_unique<storage::endpoint_guard>(*names_, std::move(networks));
  guarded_ = std::make_unique<storage::guarded_transport>(outward_, *guard_);

  backend::backend_options o;
  o.data_dir = config_.data;
  o.database_url = config_.database;
  o.public_base_url = config_.public_url.empty() ? rest_url_ : config_.public_url;
  while (!o.public_base_url.empty() && o.public_base_url.back() == '/') o.public_base_url.pop_back();
  o.check_endpoint = [this](std::string endpoint) { return guard_->check_endpoint(std::move(endpoint)); };
  TRY(o.ledger_retention, config_.retention());
  o.write_hook = api::write_hook_body;
  o.metadata = &metadata_;
  o.token_folders = auth::token_folders({config_.token_file_folders.begin(), config_.token_file_folders.end()});
  TRY(backend_, backend::backend::open(context_.get_executor(), *guarded_, clock_, std::move(o)));
  return {};
}

// The server listens first, since devices are told its port, which the system may choose; until the backend is there
// every request is answered 503.
result<void> program::start_server() {
  routes_ = std::make_unique<api::rest_context>(*auth_, metrics_, disk_, clock_);
  routes_->broker_connected = [this] { return hub_ && hub_->ready(); };
  http::server_options o;
  o.address = rest_.host;
  o.port = rest_.port;
  if (config_.tls()) o.tls = http::tls_files{config_.tls_cert, config_.tls_key};
  server_ = std::make_unique<http::server>(context_.get_executor(), api::make_router(*routes_), std::move(o));
  CHECK(server_->start());
  rest_url_ = make_base_url(config_.tls(), rest_.host, server_->port());
  return {};
}

result<void> program::write_ready() const {
  const auto text = fmt::format(R"({{"rest":"{}","mqtt":{{"host":"{}","port":{}}},"pid":{}}})"
                                "\n",
                                rest_url_, mqtt_.host, broker_->port(), ::getpid());
  return io::write_file_durably(config_.data / "ready.json", text, 0600);
}

io::task<result<void>> program::wait_for_broker() {
  for (milliseconds waited{0}; waited < broker_wait; waited += milliseconds(20)) {
    if (hub_->ready()) co_return result<void>();
    const bool on = co_await io::sleep_for(milliseconds(20));
    if (!on) co_return fail(errc::cancelled, "stopped while starting");
  }
  co_return fail(errc::unavailable, "the broker does not answer: its messages are in the log above");
}

io::task<void> program::stop() {
  std::error_code ec;
  io::fs::remove(config_.data / "ready.json", ec);
  if (backend_) backend_->end_watches();
  if (server_) co_await server_->stop(stop_grace);
  if (hub_) co_await hub_->stop(stop_grace);
  if (backend_) co_await backend_->stop();
  if (broker_) co_await broker_->stop();
}

io::task<result<void>> program::start() {
  CO_TRY(rest_, parse_listen_address(config_.listen));
  CO_TRY(mqtt_, parse_listen_address(config_.mqtt_listen));
  CO_CHECK(check_listener(rest_, config_.tls(), config_.allow_plaintext, "--listen", "--tls-cert and --tls-key"));
  CO_CHECK(check_listener(mqtt_, !config_.mqtt_tls_cert.empty(), config_.allow_plaintext, "--mqtt-listen",
                          "--mqtt-tls-cert and --mqtt-tls-key"));
  CO_TRY(lock_, lock_data(config_.data));
  std::error_code ec;
  io::fs::remove(config_.data / "ready.json", ec);  // of a process that was killed
  CO_TRY(const auto token, api::open_token_file(config_.data / "admin.token"));
  auth_ = std::make_unique<api::bearer_auth>(token);
  CO_TRY(const auto observer, api::open_token_file(config_.data / "observer.token"));
  observer_token_sha256_ = sha256(observer.reveal());

  CO_CHECK(start_server());
  CO_CHECK(start_broker());
  CO_CHECK(open_backend());
  hub_ = std::make_unique<api::mqtt_hub>(context_.get_executor(), *backend_, metrics_,
                                         broker_->backend_options("evp-backend-" + random_id(10)));
  hub_->observer_token_sha256 = observer_token_sha256_;
  backend_->set_gateway(hub_.get());
  backend_->grants.on_answered = [this](double seconds) { metrics_.on_grant(seconds); };
  CO_CHECK(co_await backend_->start());
  routes_->backend = backend_.get();
  hub_->start();
  CO_CHECK(co_await wait_for_broker());
  CO_CHECK(write_ready());
  spdlog::info("serving: REST at {}, MQTT at {} port {}, data in {}", rest_url_, mqtt_.host, broker_->port(),
               config_.data.string());
  co_return result<void>();
}

void set_up_log(const std::string& level) {
  auto log = spdlog::stderr_logger_mt("evp-backend");
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
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
  set_up_log(config.log_level);
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
  return evp::apps::run(std::move(**config));
}
