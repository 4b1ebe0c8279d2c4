// For tests: a real database, SQLite or PostgreSQL, and a way to run a coroutine to its end.
#pragma once

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "io/test_folder.h"
#include "sql/database.h"
#include "sql/test_postgresql.h"

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

/// The databases that both take all tests: INSTANTIATE_TEST_SUITE_P(, suite, on_both, name_of_database).
inline const auto on_both = testing::Values("sqlite", "postgresql");
inline std::string name_of_database(const testing::TestParamInfo<const char*>& i) { return i.param; }

/// The URL of a new database of that kind; a file lies in the folder.
inline std::string new_database(std::string_view kind, const io::fs::path& folder) {
  return kind == "postgresql" ? new_postgresql_database() : "sqlite://" + (folder / "backend.db").string();
}

class test_database : public testing::TestWithParam<const char*> {
 protected:
  const std::string& url() const { return url_; }
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
  std::string url_ = new_database(GetParam(), folder_.path());
  std::unique_ptr<database> db_ = database::open(ctx_.get_executor(), url()).value();
};

}  // namespace evp::sql
