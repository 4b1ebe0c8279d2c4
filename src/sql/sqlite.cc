#include <fcntl.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cerrno>

#include "sql/checkpointer.h"
#include "sql/soci_session.h"

namespace evp::sql {
namespace {

// Result codes of SQLite (https://www.sqlite.org/rescode.html), the primary ones.
error from_sqlite(int code, const std::string& text) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      if (text.find("UNIQUE") != std::string::npos || text.find("PRIMARY KEY") != std::string::npos)
        return {errc::already_exists, "there is such a row already"};
      if (text.find("FOREIGN KEY") != std::string::npos)
        return {errc::failed_precondition, "the row refers to one that does not exist, or is referred to"};
      return {errc::internal, "database: " + text};
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return {errc::unavailable, "the database is locked by another process"};
    case SQLITE_FULL: return {errc::unavailable, "the database's disk is full"};
    case SQLITE_IOERR: return {errc::unavailable, "the database's disk fails: " + text};
    case SQLITE_CANTOPEN: return {errc::unavailable, "the database file cannot be opened: " + text};
    case SQLITE_READONLY: return {errc::unavailable, "the database file is not writable"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return {errc::data_corrupt, "the database file is damaged or no database: " + text};
    default: return {errc::internal, "database: " + text};
  }
}

error as_error(const std::exception& e) {
  if (const auto* known = dynamic_cast<const soci::sqlite3_soci_error*>(&e))
    return from_sqlite(known->result(), known->get_error_message());
  return {errc::internal, std::string("database: ") + e.what()};
}

// Each connection here belongs to one thread at a time, and SOCI cannot ask for one without SQLite's own locks. Nor is
// anybody told how much memory it takes. Refused, and no harm done, once SQLite is in use.
void without_locks() {
  static const bool once = [] {
    (void)sqlite_api::sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    (void)sqlite_api::sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    return true;
  }();
  (void)once;
}

// SOCI asks SQLite for a column's declared type. Expressions have none: then it steps the statement once before the
// parameters are bound. So no statement may have RETURNING, and none with parameters an expression column.
class sqlite_session final : public soci_session {
 public:
  explicit sqlite_session(const std::string& parameters) {
    soci_ = std::make_unique<soci::session>("sqlite3", parameters);
    conn_ = static_cast<soci::sqlite3_session_backend*>(soci_->get_backend())->conn_;
  }

  /// The log is in use. Instead of SQLite's own checkpoints in the middle of commits.
  result<void> begin_checkpoints(const io::fs::path& file) {
    TRY(checkpointer_, checkpointer::start(file));
    sqlite_api::sqlite3_wal_hook(conn_, &sqlite_session::on_commit, checkpointer_.get());
    return {};
  }

  // IMMEDIATE: the write lock is taken at once, so that no later statement meets SQLITE_BUSY halfway.
  result<void> begin() override { return executed("BEGIN IMMEDIATE"); }
  result<void> commit() override { return executed("COMMIT"); }
  void rollback() noexcept override {
    if (in_transaction()) (void)executed("ROLLBACK");
  }
  bool in_transaction() const noexcept override { return sqlite_api::sqlite3_get_autocommit(conn_) == 0; }

  result<void> once(const char* text) try {
    soci_->once << text;
    return {};
  } catch (const std::exception& e) { return fail(as_error(e)); }

 private:
  /// A statement that has failed may hold locks until it is gone, and so may others.
  error from_current_exception() override {
    error why(errc::internal, "database");
    try {
      throw;
    } catch (const std::exception& e) { why = as_error(e); }
    forget_statements();
    return why;
  }

  result<void> executed(std::string_view text) {
    CHECK(execute(text, {}));
    return {};
  }

  static int on_commit(void* self, sqlite_api::sqlite3* conn, const char* name, int pages) {
    // Refused while the other one works; then the next commit tries again.
    if (static_cast<checkpointer*>(self)->note(pages))
      (void)sqlite_api::sqlite3_wal_checkpoint_v2(conn, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    return SQLITE_OK;
  }

  sqlite_api::sqlite3* conn_ = nullptr;
  std::unique_ptr<checkpointer> checkpointer_;  // gone first: who closes the database last tidies its log up
};

}  // namespace

result<std::unique_ptr<session>> open_sqlite(const io::fs::path& file) try {
  // Made here with the right mode: SQLite would use the umask. -wal and -shm inherit the mode of the file.
  io::unique_fd made(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made) return fail(errno_error(errno, "open the database " + file.string()).during("database"));
  made.reset();
  without_locks();
  // SOCI takes quoted values; a quote in the path would end the value early.
  if (file.string().find('"') != std::string::npos)
    return fail(errc::invalid_argument, "the database's path must not hold a quotation mark");
  auto s = std::make_unique<sqlite_session>("dbname=\"" + file.string() + "\" timeout=5");
  for (const char* text :
       {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON", "PRAGMA temp_store=MEMORY"})
    CHECK(s->once(text));
  CHECK(s->begin_checkpoints(file));
  return s;
} catch (const std::exception& e) { return fail(as_error(e)); }

}  // namespace evp::sql
