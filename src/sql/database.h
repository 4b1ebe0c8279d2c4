// SQL behind a small interface (SOCI): SQLite embedded, PostgreSQL when outgrown, one set of texts for both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/pool.h"
#include "io/task.h"

namespace evp::sql {

using value = std::variant<std::monostate, std::int64_t, std::string>;  ///< NULL, BIGINT, TEXT; bytes travel as base64
struct parameter {
  std::string_view name;  ///< bound by name: ":name" in the text
  value v;
};
using parameters = std::vector<parameter>;

class row {
 public:
  /// Programming errors (no such column, another type) end the process.
  std::int64_t integer(std::string_view column) const;
  std::string text(std::string_view column) const;
  bool is_null(std::string_view column) const;
  std::vector<std::pair<std::string, value>> columns;
};
using rows = std::vector<row>;

/// One connection; used on the database's own thread only.
class connection {
 public:
  virtual ~connection() = default;
  /// Errors: already_exists (unique constraint), failed_precondition (foreign key), unavailable (busy, disk full, gone),
  /// data_corrupt, internal.
  virtual result<rows> query(std::string_view text, const parameters& p = {}) = 0;
  /// Like query, for statements without rows; the number of rows changed.
  virtual result<std::int64_t> execute(std::string_view text, const parameters& p = {}) = 0;
};

/// Runs closures on one thread, one transaction each; closures that wait together share one commit (group commit), and
/// each caller resumes only after it. Confined to its executor.
class database {
 public:
  /// "sqlite:///path/file.db" (WAL, synchronous=FULL) or "postgresql://...". Applies the migrations of schema.h.
  /// Errors: unavailable, failed_precondition (the file is of a newer version), data_corrupt.
  static result<std::unique_ptr<database>> open(io::executor ex, std::string_view url);
  ~database();

  /// An error rolls back what this closure did, and only that. The closure must not touch the caller's state.
  template <class T>
  io::task<result<T>> run(std::function<result<T>(connection&)> work);

 private:
  struct state;
  explicit database(std::shared_ptr<state> s);
  using job = std::function<result<void>(connection&)>;
  io::task<result<void>> submit(job work);
  std::shared_ptr<state> state_;
};

template <class T>
io::task<result<T>> database::run(std::function<result<T>(connection&)> work) {
  auto out = std::make_shared<std::optional<T>>();
  job j = [out, work = std::move(work)](connection& c) -> result<void> {
    TRY(auto v, work(c));
    out->emplace(std::move(v));
    return {};
  };
  CO_CHECK(co_await submit(std::move(j)));
  co_return std::move(**out);
}

}  // namespace evp::sql
