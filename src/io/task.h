// The coroutine type of OpenEVP and what a daemon needs to run, join and bound coroutines on its one executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/time.h"

namespace evp::io {

namespace asio = boost::asio;
using executor = asio::any_io_executor;

/// A lazy coroutine: it runs when awaited or given to a group. Never discard one.
template <class T>
using task = asio::awaitable<T>;

/// Owns coroutines that nobody awaits. Confined to its executor. An exception that leaves a task ends the process:
/// our functions don't throw, so it is a defect.
class group {
 public:
  explicit group(executor ex);
  ~group();  ///< stop() must have been awaited, or nothing may be running
  group(const group&) = delete;
  group& operator=(const group&) = delete;

  /// Starts the task. After stop() has begun it is dropped instead.
  void spawn(task<void> t);
  /// Cancels every task (their waits end with an error) and returns when the last one has ended.
  task<void> stop();
  std::size_t size() const noexcept;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

/// Whether the running task has been cancelled. That happens once, and only the wait of that moment ends by it: whoever
/// works in a loop without sleep_for() asks here before the next round.
task<bool> is_cancelled();

/// Waits; ends early when the task is cancelled, at once if it already is. Returns false then.
task<bool> sleep_for(milliseconds d);

/// Awaits the task for at most d, then cancels it and answers deadline_exceeded ("what took longer than ...").
/// The task must end when it is cancelled.
template <class T>
task<result<T>> with_deadline(task<result<T>> t, milliseconds d, std::string what);

}  // namespace evp::io

#include "io/with_deadline.h"
