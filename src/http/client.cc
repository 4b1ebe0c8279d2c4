// The client's thread: a libcurl multi handle that sleeps until a socket, a deadline or the caller wakes it.
#include "http/client.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <climits>
#include <csignal>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "http/transfer.h"

namespace evp::http {
namespace {

namespace asio = io::asio;

/// What remains of an exchange on the executor's side while the client's thread has the rest.
struct waiter {
  std::function<void(std::uint64_t)> on_progress;                ///< executor only
  result<response> answer = fail(errc::cancelled, "cancelled");  ///< written by the client's thread before it posts
};

struct exchange {
  exchange(std::uint64_t id, request r) : id(id), work(std::move(r)), side(std::make_shared<waiter>()) {}
  const std::uint64_t id;
  transfer work;
  std::shared_ptr<waiter> side;
  std::function<void()> resume;  ///< owns the awaiting coroutine: runs and dies on the executor
  io::executor alive;            ///< counts as work, so that the executor does not run dry meanwhile
};
using exchange_ptr = std::unique_ptr<exchange>;

void initialise_libcurl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

struct client::state {
  state(io::executor ex, client_options options);
  ~state();
  void start(exchange_ptr x);
  void cancel(std::uint64_t id);
  void stop();

  io::executor ex;
  std::uint64_t last_id = 0;  ///< executor only

 private:
  void run();
  bool take_orders();
  void begin(exchange_ptr x);
  void collect();
  void expire();
  int wait_ms() const;
  void end(std::uint64_t id, result<response> answer);
  void hand_back(exchange_ptr x, result<response> answer);

  std::mutex mutex_;  // guards the three orders below
  std::vector<exchange_ptr> started_;
  std::vector<std::uint64_t> cancelled_;
  bool stopping_ = false;

  socket_registry sockets_;
  CURLM* multi_;
  CURLSH* shared_;  // TLS sessions; used by the thread alone, so it needs no locks
  std::unordered_map<std::uint64_t, exchange_ptr> running_;
  std::thread thread_;
};

client::state::state(io::executor e, client_options options) : ex(std::move(e)) {
  initialise_libcurl();
  multi_ = curl_multi_init();
  shared_ = curl_share_init();
  curl_share_setopt(shared_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, long(options.connections_per_host));
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS,
                    long(std::max(options.idle_connections, options.connections_per_host)));
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, long(CURLPIPE_NOTHING));

  // The daemon's signals are for its own thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "evp-http");
}

client::state::~state() { stop(); }

void client::state::start(exchange_ptr x) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) started_.push_back(std::move(x));
  }
  if (x) return hand_back(std::move(x), fail(errc::cancelled, "the HTTP client was shut down"));
  curl_multi_wakeup(multi_);
}

void client::state::cancel(std::uint64_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    cancelled_.push_back(id);
  }
  curl_multi_wakeup(multi_);
}

void client::state::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  curl_multi_wakeup(multi_);
  thread_.join();
  curl_multi_cleanup(multi_);
  curl_share_cleanup(shared_);
}

void client::state::run() {
  while (take_orders()) {
    int still_running = 0;
    curl_multi_perform(multi_, &still_running);
    collect();
    expire();
    curl_multi_poll(multi_, nullptr, 0, wait_ms(), nullptr);
  }
  while (!running_.empty()) end(running_.begin()->first, fail(errc::cancelled, "the HTTP client was shut down"));
}

/// False once the client is to stop; then every exchange is in running_.
bool client::state::take_orders() {
  std::vector<exchange_ptr> started;
  std::vector<std::uint64_t> cancelled;
  bool stopping;
  {
    const std::lock_guard lock(mutex_);
    started.swap(started_);
    cancelled.swap(cancelled_);
    stopping = stopping_;
  }
  for (auto& x : started) begin(std::move(x));
  for (const auto id : cancelled) end(id, fail(errc::cancelled, "cancelled"));
  return !stopping;
}

void client::state::begin(exchange_ptr x) {
  auto ready = x->work.prepare(shared_, sockets_);
  if (!ready) return hand_back(std::move(x), fail(std::move(ready).error()));
  if (curl_multi_add_handle(multi_, x->work.handle()) != CURLM_OK)
    return hand_back(std::move(x), fail(errc::internal, "libcurl refused the request"));
  const auto id = x->id;
  running_.emplace(id, std::move(x));
}

void client::state::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    transfer* work = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &work);
    for (const auto& [id, x] : running_) {
      if (&x->work != work) continue;
      end(id, work->finish(code));
      break;
    }
  }
}

void client::state::expire() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::uint64_t> overdue;
  for (const auto& [id, x] : running_)
    if (x->work.deadline() <= now) overdue.push_back(id);
  for (const auto id : overdue) end(id, fail(running_.at(id)->work.overdue(now)));
}

int client::state::wait_ms() const {
  auto next = steady_time::max();
  for (const auto& [id, x] : running_) next = std::min(next, x->work.deadline());
  if (next == steady_time::max()) return INT_MAX;  // libcurl's own timers still count
  const auto wait = std::chrono::ceil<milliseconds>(next - std::chrono::steady_clock::now()).count();
  return int(std::clamp<milliseconds::rep>(wait, 0, INT_MAX));
}

void client::state::end(std::uint64_t id, result<response> answer) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;  // cancelled when it had just ended
  auto x = std::move(found->second);
  running_.erase(found);
  curl_multi_remove_handle(multi_, x->work.handle());
  hand_back(std::move(x), std::move(answer));
}

void client::state::hand_back(exchange_ptr x, result<response> answer) {
  x->work.close();
  x->side->answer = std::move(answer);
  auto to = x->alive;
  asio::post(to, [x = std::move(x)]() mutable {
    const auto resume = std::move(x->resume);
    x->side->on_progress = nullptr;
    x.reset();
    resume();
  });
}

client::client(io::executor ex, client_options options) : state_(std::make_shared<state>(std::move(ex), options)) {}
client::~client() { state_->stop(); }

io::task<result<response>> client::send(request r) {
  const auto s = state_;
  auto x = std::make_unique<exchange>(++s->last_id, std::move(r));
  CO_CHECK(x->work.check());
  const auto side = x->side;
  side->on_progress = std::move(x->work.asked().on_progress);
  if (side->on_progress) {
    x->work.report = [side, ex = s->ex](std::uint64_t sent) {
      asio::post(ex, [side, sent] {
        if (side->on_progress) side->on_progress(sent);
      });
    };
  }
  auto initiate = [](auto handler, std::shared_ptr<state> st, exchange_ptr work) {
    const auto id = work->id;
    auto slot = asio::get_associated_cancellation_slot(handler);
    const auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    work->alive = asio::prefer(st->ex, asio::execution::outstanding_work.tracked);
    work->resume = [shared, slot]() mutable {
      if (slot.is_connected()) slot.clear();
      std::move (*shared)();
    };
    if (slot.is_connected()) {
      std::weak_ptr<state> weak = st;
      slot.assign([weak, id](asio::cancellation_type) {
        if (const auto alive = weak.lock()) alive->cancel(id);
      });
    }
    st->start(std::move(work));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiate), asio::use_awaitable, s,
                                                                       std::move(x));
  co_return std::move(side->answer);
}

}  // namespace evp::http
