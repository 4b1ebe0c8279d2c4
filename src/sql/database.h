// SQL behind a small interface (SOCI): SQLite embedded, PostgreSQL when outgrown, one set of texts for both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
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
  /// Errors: already_exists (unique constraint), failed_precondition (foreign key), unavailable (busy, disk full,
  /// gone), data_corrupt, internal.
  virtual result<rows> query(std::string_view text, const parameters& p = {}) = 0;
  /// Like query, for statements without rows; the number of rows changed.
  virtual result<std::int64_t> execute(std::string_view text, const parameters& p = {}) = 0;
};

struct migration;
/// The program's own migrations (schema.h).
std::span<const migration> schema();

/// Runs closures on one thread, one transaction each; closures that wait together share one commit (group commit), and
/// each caller resumes only after it. Confined to its executor.
class database {
 public:
  /// "sqlite:///path/file.db" (WAL, synchronous=FULL) or "postgresql://...". Applies the migrations; blocks meanwhile.
  /// Errors: invalid_argument (no such form of URL), unsupported (built without that database), unavailable,
  /// failed_precondition (the file is of a newer version), data_corrupt.
  static result<std::unique_ptr<database>> open(io::executor ex, std::string_view url,
                                                std::span<const migration> migrations = schema());
  /// Finishes what is queued, then ends the thread.
  ~database();

  /// Resumes the caller after COMMIT. An error rolls back what this closure did, and only that; when the commit itself
  /// fails, every caller of the batch gets its error. The closure must not touch the caller's state. Not cancellable:
  /// the caller waits for the outcome. Errors: the closure's, rate_limited (max_queued closures wait already).
  template <class T>
  io::task<result<T>> run(std::function<result<T>(connection&)> work);

  /// Closures that may wait at once, so that a slow disk cannot fill the memory.
  static constexpr std::size_t max_queued = 20'000;

  /// For tests and metrics: commits done, and closures that they held.
  struct counters {
    std::uint64_t commits = 0, closures = 0;
  };
  counters count() const noexcept;

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

template <>
inline io::task<result<void>> database::run<void>(std::function<result<void>(connection&)> work) {
  return submit(std::move(work));
}

}  // namespace evp::sql
