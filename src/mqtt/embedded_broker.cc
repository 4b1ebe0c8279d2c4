#include "mqtt/embedded_broker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

#include "base/crypto.h"
#include "base/encoding.h"
#include "mqtt/backoff.h"
#include "mqtt/broker_child.h"

namespace evp::mqtt {
namespace {

using error_code = boost::system::error_code;
using io::asio::posix::stream_descriptor;
using std::chrono::steady_clock;

constexpr milliseconds start_limit{10'000};
// mosquitto 2.0.11 loses a SIGTERM that comes just before its main loop begins, hence a second one.
constexpr std::pair<int, milliseconds> stop_steps[] = {
    {SIGTERM, milliseconds(500)}, {SIGTERM, milliseconds(2'500)}, {SIGKILL, milliseconds(3'000)}};
constexpr milliseconds restart_min{100}, restart_max{10'000}, healthy_after{10'000};
constexpr int port_attempts = 5;            // another program may take the port that was free a moment ago
constexpr std::size_t line_max = 4 * 1024;  // of its log

}  // namespace

struct embedded_broker::state : std::enable_shared_from_this<embedded_broker::state> {
  state(io::executor e, embedded_broker_options opt)
      : ex(e), o(std::move(opt)), timer(ex), gone(ex), wait(restart_min, restart_max, std::random_device()()) {}

  result<void> launch();
  result<void> await_listening();
  bool consume(std::string_view bytes);
  bool line(const std::string& text);
  void supervise();
  void read_output();
  void ended();
  void restart();

  io::executor ex;
  embedded_broker_options o;
  broker_ports ports;
  secret password;
  broker_child child;
  std::optional<stream_descriptor> exited, output;
  io::asio::steady_timer timer, gone;
  backoff wait;
  steady_time started_at;
  std::string partial, last_error;
  bool listening = false, stopping = false;
  embedded_broker* owner = nullptr;
};

result<void> embedded_broker::state::launch() {
  partial.clear();
  last_error.clear();
  listening = false;
  started_at = steady_clock::now();
  TRY(child, start_child(o, ports, password));
  return {};
}

// True when the line says that the broker listens.
bool embedded_broker::state::line(const std::string& text) {
  const bool failure = text.find("Error: ") != text.npos;
  if (failure) last_error = text;
  const bool ready = text.starts_with("mosquitto version ") && text.ends_with(" running");
  const bool worth_telling = failure || text.starts_with("Warning") || text.starts_with("evp: ");
  if (worth_telling && o.on_log) o.on_log(text);
  return ready;
}

bool embedded_broker::state::consume(std::string_view bytes) {
  bool ready = false;
  for (const char c : bytes) {
    if (c == '\n')
      ready = line(std::exchange(partial, {})) || ready;
    else if (partial.size() < line_max)
      partial += c;
  }
  return ready;
}

result<void> embedded_broker::state::await_listening() {
  const auto end = steady_clock::now() + start_limit;
  while (!listening) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
    pollfd wanted{child.output.get(), POLLIN, 0};
    const int n = left.count() > 0 ? ::poll(&wanted, 1, static_cast<int>(left.count())) : 0;
    if (n < 0 && errno == EINTR) continue;
    char bytes[4096];
    const auto got = n > 0 ? ::read(child.output.get(), bytes, sizeof bytes) : -1;
    if (got > 0) {
      listening = consume({bytes, static_cast<std::size_t>(got)});
      continue;
    }
    if (n > 0 && got < 0 && errno == EAGAIN) continue;
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    child = broker_child();
    if (n == 0) return fail(errc::unavailable, "the broker did not listen within 10 s");
    return fail(errc::failed_precondition,
                "the broker did not start: " + (last_error.empty() ? "it said nothing" : last_error));
  }
  return {};
}

void embedded_broker::state::supervise() {
  exited.emplace(ex, ::fcntl(child.exited.get(), F_DUPFD_CLOEXEC, 0));
  output.emplace(ex, ::fcntl(child.output.get(), F_DUPFD_CLOEXEC, 0));
  child.exited.reset();
  child.output.reset();
  exited->async_wait(exited->wait_read, [self = shared_from_this()](error_code ec) {
    if (!ec) self->ended();
  });
  read_output();
}

void embedded_broker::state::read_output() {
  output->async_wait(output->wait_read, [self = shared_from_this(), pid = child.pid](error_code ec) {
    if (ec || pid != self->child.pid) return;
    char bytes[4096];
    const auto got = ::read(self->output->native_handle(), bytes, sizeof bytes);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return;  // its end is told by the pidfd
    const bool ready = got > 0 && self->consume({bytes, static_cast<std::size_t>(got)});
    self->read_output();
    if (!ready || self->listening) return;
    self->listening = true;
    if (self->owner && self->owner->on_restarted) self->owner->on_restarted();
  });
}

void embedded_broker::state::ended() {
  if (!reap(child)) {
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    child.pid = 0;
  }
  char bytes[4096];
  for (auto n = ::read(output->native_handle(), bytes, sizeof bytes); n > 0;
       n = ::read(output->native_handle(), bytes, sizeof bytes))
    consume({bytes, static_cast<std::size_t>(n)});
  exited.reset();
  output.reset();
  gone.cancel();
  if (stopping) return;
  if (steady_clock::now() - started_at >= healthy_after) wait.reset();
  if (o.on_log) o.on_log("the broker has ended unexpectedly and will be started again");
  restart();
}

void embedded_broker::state::restart() {
  timer.expires_after(wait.next());
  timer.async_wait([self = shared_from_this()](error_code ec) {
    if (ec || self->stopping) return;
    const auto launched = self->launch();
    if (launched) return self->supervise();
    if (self->o.on_log) self->o.on_log("the broker cannot be started: " + launched.error().message());
    self->restart();
  });
}

embedded_broker::embedded_broker(std::shared_ptr<state> s) : state_(std::move(s)) { state_->owner = this; }

embedded_broker::~embedded_broker() {
  auto& s = *state_;
  s.owner = nullptr;
  s.stopping = true;
  s.timer.cancel();
  s.exited.reset();
  s.output.reset();
  if (s.child.pid == 0) return;
  ::kill(s.child.pid, SIGKILL);
  ::waitpid(s.child.pid, nullptr, 0);
  s.child.pid = 0;
}

result<std::unique_ptr<embedded_broker>> embedded_broker::start(io::executor ex, embedded_broker_options o) {
  CHECK(check(o));
  auto s = std::make_shared<state>(ex, std::move(o));
  s->password = secret(to_hex(random_bytes(32)));
  for (int attempt = 1;; ++attempt) {
    s->ports.devices = s->o.port;
    if (s->o.port == 0) { TRY(s->ports.devices, free_port(s->o.address)); }
    s->ports.backend = s->ports.devices;
    while (!shares_listener(s->o) && s->ports.backend == s->ports.devices) {
      TRY(s->ports.backend, free_port("127.0.0.1"));
    }
    CHECK(s->launch());
    const auto up = s->await_listening();
    if (up) break;
    const bool taken = s->last_error.find("Address already in use") != std::string::npos;
    if (!taken) return fail(up.error());
    if (attempt == port_attempts || s->o.port != 0)
      return fail(errc::failed_precondition, "port",
                  fmt::format("MQTT port {} of {} is in use: end the other program or choose another port",
                              s->ports.devices, s->o.address));
  }
  s->supervise();
  return std::unique_ptr<embedded_broker>(new embedded_broker(std::move(s)));
}

std::uint16_t embedded_broker::port() const noexcept { return state_->ports.devices; }
std::uint16_t embedded_broker::backend_port() const noexcept { return state_->ports.backend; }
const secret& embedded_broker::backend_password() const noexcept { return state_->password; }
int embedded_broker::pid() const noexcept { return state_->child.pid; }

options embedded_broker::backend_options(std::string client_id) const {
  options o;
  o.host = "127.0.0.1";
  o.port = backend_port();
  o.client_id = std::move(client_id);
  o.username = backend_username;
  o.password = backend_password();
  o.reconnect_min = restart_min;
  o.reconnect_max = milliseconds(1'000);  // it is on this machine
  return o;
}

io::task<void> embedded_broker::stop() {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  auto s = state_;
  s->stopping = true;
  s->timer.cancel();
  error_code ec;
  auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
  for (const auto& [signal, limit] : stop_steps) {
    if (s->child.pid == 0) break;
    ::kill(s->child.pid, signal);
    s->gone.expires_after(limit);
    co_await s->gone.async_wait(token);
  }
}

}  // namespace evp::mqtt
