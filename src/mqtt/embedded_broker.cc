#include "mqtt/embedded_broker.h"

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
constexpr milliseconds term_limit{3'000};
constexpr milliseconds restart_min{100}, restart_max{10'000}, healthy_after{10'000};
constexpr int port_attempts = 5;           // another program may take the port that was free a moment ago
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
    if (c == '\n') ready = line(std::exchange(partial, {})) || ready;
    else if (partial.size() < line_max) partial += c;
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
    return fail(errc::failed_precondition, "the broker did not start: " + (last_error.empty() ? "it said nothing" : last_error));
  }
  return {};
}

void embedded_broker::state::supervise() {
  exited.emplace(ex, child.exited.get());
  output.emplace(ex, child.output.get());
  child.exited = io::unique_fd(), child.output = io::unique_fd();
}

embedded_broker::embedded_broker(std::shared_ptr<state> s) : state_(std::move(s)) { state_->owner = this; }

}  // namespace evp::mqtt
