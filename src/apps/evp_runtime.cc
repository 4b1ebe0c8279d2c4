// evp-runtime: the device daemon's main(): settings, hardening, signals, and nothing else.
#include <malloc.h>
#include <openssl/crypto.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "apps/log_format.h"
#include "apps/runtime_config.h"

namespace {

using namespace evp;

/// Secrets must not reach a core file, a debugger of another process, or /proc/<pid>/environ.
void protect_secrets() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void wipe_secrets_from_environment() {
  for (const auto& name : apps::runtime_secret_variables()) {
    char* value = std::getenv(name.c_str());
    if (!value) continue;
    OPENSSL_cleanse(value, std::char_traits<char>::length(value));
    ::unsetenv(name.c_str());
  }
}

std::optional<std::string> from_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

int complain(const error& e) {
  std::fprintf(stderr, "evp-runtime: %s\n", e.message().c_str());
  return e.code() == errc::invalid_argument ? 2 : 1;
}

io::task<void> shut_down(runtime::daemon& d, boost::asio::io_context& ctx) {
  constexpr milliseconds grace{2'000};
  co_await d.stop(grace);
  ctx.stop();
}

io::task<void> enrol(runtime::device_identity& who, result<void>& out, boost::asio::io_context& ctx) {
  out = co_await who.enrol_with_patience();
  ctx.stop();
}

/// Before the daemon: who the device is must be known first. A signal ends the wait.
result<void> enrol_first(const runtime::identity_options& options) {
  boost::asio::io_context ctx(1);
  const io::system_clock clock;
  http::client client(ctx.get_executor());
  runtime::device_identity who(client, clock, options);
  result<void> out = fail(errc::cancelled, "stopped before the device was enrolled");
  boost::asio::signal_set signals(ctx, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code, int) { ctx.stop(); });
  boost::asio::co_spawn(ctx, enrol(who, out, ctx), boost::asio::detached);
  ctx.run();
  return out;
}

int run(runtime::runtime_options options) {
  boost::asio::io_context ctx(1);
  runtime::daemon daemon(ctx.get_executor(), std::move(options));
  if (auto started = daemon.start(); !started) return complain(started.error());
  boost::asio::signal_set signals(ctx, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code, int) {
    spdlog::info("shutting down");
    // A second signal ends the process at once.
    std::signal(SIGTERM, SIG_DFL);
    std::signal(SIGINT, SIG_DFL);
    boost::asio::co_spawn(ctx, shut_down(daemon, ctx), boost::asio::detached);
  });
  ctx.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  protect_secrets();
  ::mallopt(M_ARENA_MAX, 1);  // an arena for each thread would cost more memory than the one's lock costs time
  std::signal(SIGPIPE, SIG_IGN);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_st>()));
  auto settings = apps::read_runtime_settings({argv + 1, argv + argc}, from_environment);
  wipe_secrets_from_environment();
  if (!settings) return complain(settings.error());
  if (settings->show_help) {
    std::fputs(apps::runtime_usage().c_str(), stdout);
    return 0;
  }
  spdlog::set_level(spdlog::level::from_str(settings->log_level));
  if (settings->log_format == "json")
    spdlog::set_formatter(apps::make_log_formatter(apps::log_format::json, "evp-runtime"));
  auto identity = apps::to_identity_options(*settings);
  if (!identity) return complain(identity.error());
  const auto key = apps::to_device_key(*settings);
  if (!key) return complain(key.error());
  if (*identity) {
    (*identity)->key = *key;
    if (auto done = enrol_first(**identity); !done) return complain(done.error());
    settings->mqtt_certificate = ((*identity)->folder / "device.pem").string();
    if (!*key) settings->mqtt_key = settings->mqtt_certificate;
  }
  auto options = apps::to_runtime_options(*settings);
  if (!options) return complain(options.error());
  options->identity = *identity;
  if (*key) options->broker.tls->key = *key;
  std::random_device random;
  options->uploads.seed = (std::uint64_t(random()) << 32) | random();
  return run(std::move(*options));
}
