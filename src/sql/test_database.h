// For tests: a real SQLite file in a temporary folder, and a way to run a coroutine to its end.
#pragma once

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "io/test_folder.h"
#include "sql/database.h"

namespace evp::sql {

using io::temporary_folder;

/// Runs the context until the task has ended and nothing else is left to do.
template <class T>
T run(io::asio::io_context& ctx, io::task<T> t) {
  std::optional<T> out;
  io::asio::co_spawn(ctx, std::move(t), [&](std::exception_ptr e, T v) {
    if (e) std::rethrow_exception(e);
    out.emplace(std::move(v));
  });
  ctx.restart();
  while (!out && ctx.run_one() > 0) {}
  return std::move(*out);
}

class test_database : public testing::Test {
 protected:
  std::string url() const { return "sqlite://" + (folder_.path() / "backend.db").string(); }
  template <class T>
  T run(io::task<T> t) {
    return sql::run(ctx_, std::move(t));
  }
  /// Runs a closure in the database of the test.
  template <class F>
  auto in_db(F f) {
    using out = std::invoke_result_t<F, connection&>;
    return run(db_->run<typename out::value_type>(std::function<out(connection&)>(std::move(f))));
  }

  temporary_folder folder_;
  io::asio::io_context ctx_;
  std::unique_ptr<database> db_ = database::open(ctx_.get_executor(), url()).value();
};

}  // namespace evp::sql
