// with_deadline of task.h: a race between the task and a timer. Included by task.h only.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace evp::io {

template <class T>
task<result<T>> with_deadline(task<result<T>> t, milliseconds d, std::string what) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer timer(co_await asio::this_coro::executor, d);
  auto race = std::move(t) || timer.async_wait(asio::use_awaitable);
  auto winner = co_await std::move(race);
  if (winner.index() == 0) co_return std::move(std::get<0>(winner));
  co_return fail(errc::deadline_exceeded, what + " took longer than " + format_iso8601_duration(d));
}

}  // namespace evp::io
