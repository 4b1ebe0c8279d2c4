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

#include "base/audit_chain.h"
#include "base/time.h"
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
  /// Errors: already_exists (unique constraint), failed_precondition (foreign key), invalid_argument (text that is not
  /// UTF-8), unavailable (busy, disk full, gone), data_corrupt, internal.
  virtual result<rows> query(std::string_view text, const parameters& p = {}) = 0;
  /// Like query, for statements without rows; the number of rows changed.
  virtual result<std::int64_t> execute(std::string_view text, const parameters& p = {}) = 0;

  /// To append to a SELECT from one table: the rows it finds are as the last commit left them, and stay so until this
  /// transaction ends; others may say the same of them meanwhile. Empty in SQLite, where one transaction runs at a
  /// time.
  virtual std::string_view for_share() const noexcept { return ""; }
  /// The same, for who will change the rows: nobody else may say either meanwhile.
  virtual std::string_view for_update() const noexcept { return ""; }

  using last_work = std::function<result<void>(connection&)>;
  /// Does the work after all closures of this transaction, in the order of the calls; of all programs on the database
  /// one at a time does such work. So numbers that are given there become visible in their order, and what is written
  /// only there is never in the way of another transaction. An error undoes and repeats the whole transaction.
  void at_end(last_work work) { last_.push_back(std::move(work)); }
  /// Once this transaction is committed, what database::set_on_announced() was given is called in all programs on the
  /// database, at once but not for sure. In at_end() only. Does nothing in SQLite.
  virtual result<void> announce() { return {}; }

  /// Leaves a record for the audit (its number is not looked at). It is written, chained to the one before, at the end
  /// of the transaction that the closure runs in, and only if the closure succeeds: so neither is without the other.
  void note(audit_record r) { notes.push_back(std::move(r)); }

 protected:
  friend class database;
  std::vector<last_work> last_;
  std::vector<audit_record> notes;  ///< of this transaction, in their order
};

struct migration;
/// The program's own migrations (schema.h).
std::span<const migration> schema();

/// Runs closures on one thread, one transaction each; closures that wait together share one commit (group commit), and
/// each caller resumes only after it. Confined to its executor.
class database {
 public:
  /// "sqlite:///path/file.db" (WAL, synchronous=FULL) or "postgresql://user@host:port/name?option=value" with libpq's
  /// options but no password. Applies the migrations; blocks meanwhile. Errors: invalid_argument (no such form of URL,
  /// a password in it), unavailable, failed_precondition (the tables are of a newer version; user, database or encoding
  /// are not as they must be), unsupported (an old server), data_corrupt.
  static result<std::unique_ptr<database>> open(io::executor ex, std::string_view url,
                                                std::span<const migration> migrations = schema());
  /// Finishes what is queued, then ends the thread.
  ~database();

  /// Resumes the caller after COMMIT. An error rolls back what this closure did, and only that; when the commit itself
  /// fails, every caller of the batch gets its error. The closure must not touch the caller's state, and may run more
  /// than once: a transaction that was in the way of another, or whose connection was lost before the commit, is
  /// repeated; what the last run did counts. Not cancellable: the caller waits for the outcome. Errors: the closure's,
  /// rate_limited (max_queued closures wait already), unavailable (out of reach; where the connection was lost during
  /// the commit itself, nobody knows whether it counted).
  template <class T>
  io::task<result<T>> run(std::function<result<T>(connection&)> work);

  /// Closures that may wait at once, so that a slow disk cannot fill the memory.
  static constexpr std::size_t max_queued = 20'000;

  /// For tests and metrics: commits done, closures that they held, transactions that failed whole, the seconds that all
  /// of them took, and the closures that wait now.
  struct counters {
    std::uint64_t commits = 0, closures = 0, failed = 0;
    double busy_seconds = 0;
    std::size_t waiting = 0;
  };
  counters count() const noexcept;

  /// Whether other programs may write to it too: PostgreSQL.
  bool is_shared() const noexcept;
  /// When it last answered. Of a database that is not shared: now.
  steady_time reached_at() const noexcept;
  /// Connections made so far: one more, and what was announced meanwhile may have been missed.
  std::uint64_t connections() const noexcept;
  /// Called on the executor: see connection::announce(). Of a database that is not shared: never.
  void set_on_announced(std::function<void()> heard);

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
