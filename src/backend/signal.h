// Wakes coroutines that wait for something to happen.
#pragma once

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "io/task.h"

namespace evp::backend {

/// Counts what happened, so that nothing is missed between a look and the wait that follows it: read count(), look,
/// then wait for more than that. Confined to its executor; outlives who waits.
class signal {
 public:
  std::uint64_t count() const noexcept { return count_; }
  void notify() {
    ++count_;
    for (auto* timer : waiting_) timer->cancel();
  }
  /// Ends all waits, now and later.
  void close() {
    closed_ = true;
    notify();
  }
  bool closed() const noexcept { return closed_; }

  /// Returns when count() is not `seen` any more, when the time is up, when the signal is closed, or on cancellation.
  io::task<void> wait(std::uint64_t seen, milliseconds at_most) {
    if (closed_ || count_ != seen) co_return;
    io::asio::steady_timer timer(co_await io::asio::this_coro::executor, at_most);
    const place mine(waiting_, timer);
    boost::system::error_code ec;
    auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
    co_await timer.async_wait(token);
  }

 private:
  struct place {
    place(std::set<io::asio::steady_timer*>& all, io::asio::steady_timer& timer) : all(all), timer(&timer) {
      all.insert(&timer);
    }
    ~place() { all.erase(timer); }
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    std::set<io::asio::steady_timer*>& all;
    io::asio::steady_timer* timer;
  };
  std::set<io::asio::steady_timer*> waiting_;
  std::uint64_t count_ = 0;
  bool closed_ = false;
};

}  // namespace evp::backend
