// Connections that SOCI makes, to SQLite or to PostgreSQL. For database.cc and the tests of this folder.
#pragma once

#include <functional>
#include <memory>

#include "base/time.h"
#include "io/files.h"
#include "sql/database.h"

namespace evp::sql {

/// A connection that also begins and ends transactions.
class session : public connection {
 public:
  virtual result<void> begin() = 0;
  /// An error says that nothing was committed, but where is_lost() is true afterwards: then nobody knows.
  virtual result<void> commit() = 0;
  /// Ends the transaction if there is one.
  virtual void rollback() noexcept = 0;
  /// Some failures (disk full, I/O errors, a lost connection) end a transaction by themselves.
  virtual bool in_transaction() const noexcept = 0;

  /// Before the last part of a transaction: of all programs on the database one at a time is in its last part.
  virtual result<void> enter_last_part() { return {}; }
  /// What at_end() has collected in this transaction.
  std::vector<last_work>& last_part() noexcept { return last_; }
  /// Whether a statement since the last call failed only because another transaction was in its way: the whole
  /// transaction may succeed when it is repeated.
  virtual bool take_conflict() noexcept { return false; }

  /// The connection is gone; what was not committed is undone.
  virtual bool is_lost() const noexcept { return false; }
  /// Makes a new connection in its place. Blocks, 2 s at most. Errors: unavailable, failed_precondition.
  virtual result<void> reconnect() { return {}; }
  /// Any thread: ends the connection if it has owed an answer for longer than that.
  virtual void cut_if_silent(milliseconds) noexcept {}

  /// Around the migrations: one program at a time does them, and they may take their time.
  virtual result<void> begin_migrations() { return {}; }
  virtual result<void> end_migrations() { return {}; }
};

/// Opens or makes the file (mode 0600): WAL, synchronous=FULL (a commit survives a power cut), foreign keys, 5 s of
/// patience with other processes. Errors: unavailable, data_corrupt (no database).
result<std::unique_ptr<session>> open_sqlite(const io::fs::path& file);

/// The URL in the form in which libpq takes it, with our bounds on silence where it gives none. Errors:
/// invalid_argument (no such form; a password in it).
result<std::string> postgresql_parameters(std::string_view url);
/// Connects: read committed, a commit survives a crash of the server, statements bounded in time. Errors: unavailable,
/// failed_precondition (user, database or encoding are not as they must be), unsupported (before PostgreSQL 12).
result<std::unique_ptr<session>> open_postgresql(std::string parameters);

/// Hears connection::announce() of all programs, on a connection and a thread of its own, and comes back when that is
/// lost. Announcements may be missed meanwhile: so each new connection counts as one.
class postgresql_listener {
 public:
  static constexpr milliseconds tick{250};
  /// Both are called on the listener's thread: on_tick at least every 3 s, else after each tick.
  postgresql_listener(std::string parameters, std::function<void()> on_announced, std::function<void()> on_tick);
  ~postgresql_listener();  ///< waits for the thread, 2 s at most

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace evp::sql
