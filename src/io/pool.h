// Blocking work on a named thread, away from the executor.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "io/task.h"

namespace evp::io {

using pool = asio::thread_pool;

/// Runs the function on the pool and resumes the caller on its own executor with the answer. The work is not
/// cancellable: the caller waits for it. f must not throw.
template <class F>
task<std::invoke_result_t<F>> run_on(pool& p, F f) {
  auto work = [](F g) -> task<std::invoke_result_t<F>> { co_return g(); }(std::move(f));
  auto token = asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable);
  co_return co_await asio::co_spawn(p.get_executor(), std::move(work), token);
}

}  // namespace evp::io
