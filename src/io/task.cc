#include "io/task.h"

#include <boost/asio/redirect_error.hpp>
#include <cassert>
#include <list>

namespace evp::io {

struct group::state {
  explicit state(executor ex) : ex(ex), joined(ex) { joined.expires_at(steady_time::max()); }
  executor ex;
  asio::steady_timer joined;
  std::list<asio::cancellation_signal> running;
  bool stopping = false;
};

namespace {
/// Asio would throw out of the next co_await of a cancelled task; ours see their wait end with an error instead.
task<void> without_throwing(task<void> t) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(t);
}
}  // namespace

group::group(executor ex) : state_(std::make_shared<state>(std::move(ex))) {}
group::~group() { state_->stopping = true; }

void group::spawn(task<void> t) {
  auto s = state_;
  if (s->stopping) return;
  s->running.emplace_back();
  const auto mine = std::prev(s->running.end());
  auto finish = [s, mine](std::exception_ptr e) {
    if (e && !s->stopping) std::rethrow_exception(e);  // a cancelled task may end by operation_aborted
    s->running.erase(mine);
    if (s->running.empty()) s->joined.cancel();
  };
  asio::co_spawn(s->ex, without_throwing(std::move(t)), asio::bind_cancellation_slot(mine->slot(), std::move(finish)));
}

task<void> group::stop() {
  auto s = state_;
  s->stopping = true;
  for (auto it = s->running.begin(); it != s->running.end();) (it++)->emit(asio::cancellation_type::all);
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  while (!s->running.empty()) co_await s->joined.async_wait(token);
}

std::size_t group::size() const noexcept { return state_->running.size(); }

task<bool> is_cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

task<bool> sleep_for(milliseconds d) {
  const bool over = co_await is_cancelled();  // in what came before
  if (over) co_return false;
  asio::steady_timer timer(co_await asio::this_coro::executor, d);
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  co_await timer.async_wait(token);
  co_return !ec;
}

}  // namespace evp::io
