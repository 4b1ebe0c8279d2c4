#include "mqtt/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>
#include <unordered_map>
#include <vector>

#include "mqtt/backoff.h"
#include "mqtt/codes.h"
#include "mqtt/handle.h"

namespace evp::mqtt {
namespace {

using error_code = boost::system::error_code;
using std::chrono::steady_clock;

constexpr milliseconds healthy_after{5'000};     // a connection this old ends the back-off
constexpr int packets_per_pass = 256;            // then other work of the executor gets its turn
constexpr milliseconds disconnect_flush{1'000};  // for the last bytes once DISCONNECT is queued
constexpr std::size_t topic_max_bytes = 65'535;  // MQTT 3.1.1, 1.5.3

enum class phase { idle, waiting, connecting, handshaking, connected, closed };

// A caller of publish_acknowledged.
struct waiter {
  explicit waiter(const io::executor& ex) : timer(ex, steady_time::max()) {}
  void answer(result<void> r) {
    outcome = std::move(r);
    timer.cancel();
  }
  io::asio::steady_timer timer;
  std::optional<result<void>> outcome;
};

// A publish that is not yet sent (QoS 0) or acknowledged (QoS 1).
struct pending {
  std::size_t bytes = 0;
  int qos = 0;
  int rivals = 0;  // QoS 0 publishes that got the same message id because 65,535 others came between
  std::shared_ptr<waiter> who;
};

}  // namespace

struct client::state : std::enable_shared_from_this<client::state> {
  state(io::executor e, options o, callbacks c)
      : ex(std::move(e)),
        opt(std::move(o)),
        cb(std::move(c)),
        h(std::make_shared<handle>(opt)),
        timer(ex),
        changed(ex),
        wait(opt.reconnect_min, opt.reconnect_max, std::random_device()()) {
    h->owner = this;
    mosquitto_connect_v5_callback_set(h->mosq, [](auto*, void* x, int rc, int, auto*) { on(x, &state::connack, rc); });
    mosquitto_message_callback_set(h->mosq, [](auto*, void* x, auto* m) { on(x, &state::incoming, m); });
    mosquitto_publish_v5_callback_set(h->mosq,
                                      [](auto*, void* x, int id, int rc, auto*) { on(x, &state::published, id, rc); });
  }

  template <class... A, class... B>
  static void on(void* context, void (state::*f)(A...), B... arguments) {
    if (auto* owner = static_cast<state*>(static_cast<handle*>(context)->owner)) (owner->*f)(arguments...);
  }

  // Connecting
  void connect();
  void attempted(attempt_outcome outcome);
  void connack(int code);
  void lost(error why);
  void close();
  // Moving bytes
  bool alive(int rc);
  void arm_read();
  void arm_write();
  void readable();
  void flush();
  bool more_to_read();
  void tick();
  // Messages
  void incoming(const mosquitto_message* m);
  result<int> publish(std::string_view topic, std::string_view payload, int qos, std::shared_ptr<waiter> who);
  void published(int id, int reason);
  void forget(std::unordered_map<int, pending>::iterator at);

  io::executor ex;
  options opt;
  callbacks cb;
  std::shared_ptr<handle> h;
  std::shared_ptr<attempt> attempt_in_progress;
  phase now = phase::idle;
  bool stopping = false;
  unsigned epoch = 0;  // counts connections: a handler of an older one does nothing
  // A duplicate of libmosquitto's descriptor, so that libmosquitto may close its own whenever it wants.
  std::optional<io::asio::posix::stream_descriptor> socket;
  bool write_armed = false;
  io::asio::steady_timer timer;    // next attempt, limit of the handshake, or the next keepalive check
  io::asio::steady_timer changed;  // stop() waits on it
  backoff wait;
  steady_time connected_at;
  std::optional<error> refusal;
  std::vector<std::pair<std::string, int>> subscriptions;
  std::unordered_map<int, pending> pendings;
  std::size_t pending_bytes = 0;
  bool publishing = false;  // inside mosquitto_publish: published() may come before the id is known
  std::vector<std::pair<int, int>> published_early;
};

void client::state::connect() {
  now = phase::connecting;
  auto done = [weak = weak_from_this()](attempt_outcome outcome) {
    if (auto self = weak.lock()) self->attempted(outcome);
  };
  attempt_in_progress = attempt::start(ex, h, opt, std::move(done));
}

void client::state::attempted(attempt_outcome outcome) {
  if (now != phase::connecting) return;
  if (attempt_in_progress) attempt_in_progress->abandon();  // waits until its thread has let go of the executor
  attempt_in_progress.reset();
  const int fd = mosquitto_socket(h->mosq);
  if (outcome.rc != MOSQ_ERR_SUCCESS || fd < 0)
    return lost(library_error(outcome.rc, outcome.saved_errno, h->last_error));
  const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return lost(errno_error(errno, "MQTT connection"));
  socket.emplace(ex, own);
  now = phase::handshaking;
  timer.expires_after(opt.connect_timeout);
  timer.async_wait([self = shared_from_this(), mine = epoch](error_code ec) {
    if (ec || mine != self->epoch || self->now != phase::handshaking) return;
    self->lost(error(errc::deadline_exceeded, "the broker did not answer CONNECT in time"));
  });
  arm_read();
  flush();
}

void client::state::connack(int code) {
  if (code != 0) {
    refusal = refused(code, opt.version5);
    return;  // libmosquitto ends the connection with an error, which arrives in alive()
  }
  now = phase::connected;
  mosquitto_log_callback_set(h->mosq, nullptr);  // it would format a text for each message from now on
  connected_at = steady_clock::now();
  tick();
  for (const auto& [filter, qos] : subscriptions) mosquitto_subscribe(h->mosq, nullptr, filter.c_str(), qos);
  if (cb.on_connected) cb.on_connected();
}

// The connection or the attempt has ended: tell, and try again after a pause.
void client::state::lost(error why) {
  auto self = shared_from_this();
  if (now == phase::closed) return;
  if (now == phase::connected && steady_clock::now() - connected_at >= healthy_after) wait.reset();
  ++epoch;
  write_armed = false;
  socket.reset();
  refusal.reset();
  for (auto at = pendings.begin(); at != pendings.end();) {
    const auto here = at++;
    if (auto who = std::move(here->second.who))
      who->answer(fail(errc::unavailable, "the connection to the broker broke before the message was acknowledged"));
    if (here->second.qos == 0)
      forget(here);  // libmosquitto keeps only QoS 1
    else
      here->second.rivals = 0;
  }
  now = stopping ? phase::closed : phase::waiting;
  changed.cancel();
  timer.cancel();
  if (now == phase::waiting) {
    timer.expires_after(wait.next());
    timer.async_wait([self, mine = epoch](error_code ec) {
      if (!ec && mine == self->epoch && self->now == phase::waiting) self->connect();
    });
  }
  if (cb.on_disconnected && !stopping) cb.on_disconnected(why);
}

void client::state::close() {
  now = phase::closed;
  ++epoch;
  if (attempt_in_progress) attempt_in_progress->abandon();
  attempt_in_progress.reset();
  h->owner = nullptr;
  socket.reset();
  timer.cancel();
  changed.cancel();
  for (auto& [id, p] : pendings)
    if (p.who) p.who->answer(fail(errc::cancelled, "the MQTT client was stopped"));
  pendings.clear();
  pending_bytes = 0;
  h = nullptr;  // libmosquitto's callbacks may be on the stack: their caller holds the handle
}

// To be asked after each call into libmosquitto that does I/O. False: the connection is gone, and everybody knows.
bool client::state::alive(int rc) {
  const int saved_errno = errno;
  if (now == phase::closed) return false;
  if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(h->mosq) >= 0) return true;
  if (refusal) {
    lost(*refusal);
    return false;
  }
  lost(library_error(rc == MOSQ_ERR_SUCCESS ? MOSQ_ERR_CONN_LOST : rc, saved_errno, h->last_error));
  return false;
}

void client::state::arm_read() {
  socket->async_wait(socket->wait_read, [self = shared_from_this(), mine = epoch](error_code ec) {
    if (!ec && mine == self->epoch) self->readable();
  });
}

void client::state::arm_write() {
  if (std::exchange(write_armed, true)) return;
  socket->async_wait(socket->wait_write, [self = shared_from_this(), mine = epoch](error_code ec) {
    if (ec || mine != self->epoch) return;
    self->write_armed = false;
    self->flush();
  });
}

// mosquitto_loop_read takes one packet a call, so it is asked for more while there is more.
void client::state::readable() {
  const auto held = h;
  const auto mine = epoch;
  for (int i = 0; i < packets_per_pass; ++i) {
    const bool ok = alive(mosquitto_loop_read(held->mosq, 1));
    if (!ok || mine != epoch) return;
    if (more_to_read()) continue;
    arm_read();
    return flush();
  }
  flush();
  if (mine != epoch) return;
  io::asio::post(ex, [self = shared_from_this(), mine] {
    if (mine == self->epoch) self->readable();
  });
}

bool client::state::more_to_read() {
  auto* ssl = static_cast<SSL*>(mosquitto_ssl_get(h->mosq));
  if (ssl && SSL_pending(ssl) > 0) return true;
  int bytes = 0;
  return ::ioctl(socket->native_handle(), FIONREAD, &bytes) == 0 && bytes > 0;
}

// Writes what libmosquitto has queued, and waits for the socket if not all of it went.
void client::state::flush() {
  const auto held = h;
  if (mosquitto_want_write(held->mosq)) {
    const bool ok = alive(mosquitto_loop_write(held->mosq, 1));
    if (!ok) return;
    if (mosquitto_want_write(held->mosq)) return arm_write();
  }
  if (stopping) changed.cancel();
}

// Lets libmosquitto send PINGREQ and notice a silent broker. Four times a keepalive keeps a ping within 1.25
// keepalives; the broker allows 1.5 (MQTT 3.1.1, 3.1.2.10).
void client::state::tick() {
  timer.expires_after(std::max<milliseconds>(milliseconds(opt.keepalive) / 4, milliseconds(500)));
  timer.async_wait([self = shared_from_this(), mine = epoch](error_code ec) {
    if (ec || mine != self->epoch) return;
    const auto held = self->h;
    const bool ok = self->alive(mosquitto_loop_misc(held->mosq));
    if (!ok || mine != self->epoch) return;
    self->flush();
    if (mine == self->epoch) self->tick();
  });
}

void client::state::incoming(const mosquitto_message* m) {
  if (!cb.on_message) return;
  message copy{m->topic, std::string(static_cast<const char*>(m->payload), static_cast<std::size_t>(m->payloadlen))};
  cb.on_message(std::move(copy));
}

result<int> client::state::publish(std::string_view topic, std::string_view payload, int qos,
                                   std::shared_ptr<waiter> who) {
  if (now != phase::connected || stopping) return fail(errc::unavailable, "not connected to the broker");
  if (topic.empty() || topic.size() > topic_max_bytes || topic.find_first_of(std::string_view("+#\0", 3)) != topic.npos)
    return fail(errc::invalid_argument, "topic", "a topic must have 1 to 65,535 bytes without '+', '#' and NUL");
  if (payload.size() > opt.max_payload_bytes)
    return fail(errc::too_large, fmt::format("an MQTT message may have up to {} bytes here", opt.max_payload_bytes));
  const auto bytes = topic.size() + payload.size();
  if (pending_bytes + bytes > opt.max_queued_bytes || pendings.size() >= opt.max_queued_messages)
    return fail(errc::rate_limited, "too many MQTT messages wait for the broker");

  int id = 0;
  const auto held = h;
  publishing = true;
  const int rc = mosquitto_publish(held->mosq, &id, std::string(topic).c_str(), static_cast<int>(payload.size()),
                                   payload.data(), qos, false);
  publishing = false;
  const int saved_errno = errno;
  const auto early = std::exchange(published_early, {});
  if (rc != MOSQ_ERR_SUCCESS && !(qos > 0 && (rc == MOSQ_ERR_NO_CONN || rc == MOSQ_ERR_CONN_LOST)))
    return fail(library_error(rc, saved_errno, {}));
  bool done = false;
  for (const auto& [other, reason] : early) {
    if (other == id && qos == 0)
      done = true;
    else
      published(other, reason);
  }
  if (!done) {
    const auto [at, fresh] = pendings.try_emplace(id);
    if (fresh) {
      at->second = pending{bytes, qos, 0, std::move(who)};
      pending_bytes += bytes;
    } else {
      ++at->second.rivals;
      if (who) return fail(errc::rate_limited, "too many MQTT messages wait for the broker");
    }
  }
  if (!done && mosquitto_want_write(held->mosq)) arm_write();
  return id;
}

void client::state::published(int id, int reason) {
  if (publishing) return published_early.emplace_back(id, reason), void();
  const auto at = pendings.find(id);
  if (at == pendings.end()) return;
  if (at->second.rivals > 0) return void(--at->second.rivals);
  if (const auto who = std::move(at->second.who)) {
    if (reason >= 0x80)
      who->answer(fail(not_accepted(reason)));
    else
      who->answer({});
  }
  forget(at);
  if (stopping && pendings.empty()) changed.cancel();
}

void client::state::forget(std::unordered_map<int, pending>::iterator at) {
  pending_bytes -= at->second.bytes;
  pendings.erase(at);
}

client::client(io::executor ex, options o, callbacks c)
    : state_(std::make_shared<state>(std::move(ex), std::move(o), std::move(c))) {}

client::~client() {
  if (state_->now != phase::closed || state_->h) state_->close();
}

bool client::connected() const noexcept { return state_->now == phase::connected; }
std::size_t client::queued_bytes() const noexcept { return state_->pending_bytes; }

void client::start() {
  if (state_->now == phase::idle) state_->connect();
}

void client::subscribe(std::string filter, int qos) {
  auto& s = *state_;
  std::erase_if(s.subscriptions, [&](const auto& known) { return known.first == filter; });
  s.subscriptions.emplace_back(filter, qos);
  if (s.now != phase::connected) return;
  const auto held = s.h;
  mosquitto_subscribe(held->mosq, nullptr, filter.c_str(), qos);
  if (mosquitto_want_write(held->mosq)) s.arm_write();
}

void client::unsubscribe(const std::string& filter) {
  auto& s = *state_;
  std::erase_if(s.subscriptions, [&](const auto& known) { return known.first == filter; });
  if (s.now != phase::connected) return;
  const auto held = s.h;
  mosquitto_unsubscribe(held->mosq, nullptr, filter.c_str());
  if (mosquitto_want_write(held->mosq)) s.arm_write();
}

io::task<void> client::stop(milliseconds grace) {
  namespace this_coro = io::asio::this_coro;
  co_await this_coro::throw_if_cancelled(false);
  auto s = state_;
  if (s->now == phase::closed) co_return;
  s->stopping = true;
  auto deadline = steady_clock::now() + grace;
  bool asked = false;
  while (s->now == phase::connected || (s->now != phase::closed && !s->pendings.empty())) {
    if (s->now == phase::connected && s->pendings.empty() && !asked) {
      asked = true;
      deadline = steady_clock::now() + disconnect_flush;
      const auto held = s->h;
      const bool open = s->alive(mosquitto_disconnect(held->mosq));
      if (open) s->arm_write();
      continue;
    }
    const auto cancellation = co_await this_coro::cancellation_state;
    if (steady_clock::now() >= deadline || cancellation.cancelled() != io::asio::cancellation_type::none) break;
    error_code ec;
    s->changed.expires_at(deadline);
    auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
    co_await s->changed.async_wait(token);
  }
  if (s->h) s->close();
}

result<void> client::publish(std::string_view topic, std::string_view payload, int qos) {
  CHECK(state_->publish(topic, payload, qos, nullptr));
  return {};
}

io::task<result<void>> client::publish_acknowledged(std::string topic, std::string payload) {
  auto s = state_;
  auto who = std::make_shared<waiter>(s->ex);
  CO_CHECK(s->publish(topic, payload, 1, who));
  error_code ec;
  auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
  if (!who->outcome) co_await who->timer.async_wait(token);
  if (who->outcome) co_return std::move(*who->outcome);
  co_return fail(errc::cancelled, "the wait for the broker's acknowledgement was cancelled");
}

}  // namespace evp::mqtt
