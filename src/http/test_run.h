// Runs a coroutine to its end on an io_context, for tests.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "io/task.h"

namespace evp::http {

template <class T>
T run(io::asio::io_context& context, io::task<T> t) {
  std::optional<T> out;
  bool ended = false;
  auto wrapped = [](io::task<T> inner, std::optional<T>& to) -> io::task<void> {
    T value = co_await std::move(inner);
    to.emplace(std::move(value));
  }(std::move(t), out);
  io::asio::co_spawn(context, std::move(wrapped), [&](std::exception_ptr e) {
    ended = true;
    if (e) std::rethrow_exception(e);
  });
  context.restart();
  while (!ended && context.run_one() > 0) {}
  return std::move(out).value();
}

}  // namespace evp::http
