#include <fcntl.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cerrno>
#include <deque>
#include <unordered_map>

#include "sql/connection.h"

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

constexpr std::size_t max_prepared = 128;  // lists have texts that depend on their filters

/// The only function that turns SOCI's exceptions into errors.
error from_current_exception() {
  try {
    throw;
  } catch (const soci::sqlite3_soci_error& e) {
    return from_sqlite(e.result(), e.get_error_message());
  } catch (const std::exception& e) { return {errc::internal, std::string("database: ") + e.what()}; }
}

value value_at(const soci::row& r, std::size_t i) {
  if (r.get_indicator(i) == soci::i_null) return {};
  switch (r.get_properties(i).get_data_type()) {
    case soci::dt_integer: return std::int64_t(r.get<int>(i));
    case soci::dt_long_long: return std::int64_t(r.get<long long>(i));
    default: return r.get<std::string>(i);
  }
}

class sqlite_session final : public session {
 public:
  explicit sqlite_session(const std::string& parameters) : soci_("sqlite3", parameters) {
    conn_ = static_cast<soci::sqlite3_session_backend*>(soci_.get_backend())->conn_;
  }

  // SOCI asks SQLite for a column's declared type. Expressions have none: then it steps the statement once before the
  // parameters are bound. So no statement here may have RETURNING, and none with parameters an expression column.
  result<rows> query(std::string_view text, const parameters& p) override try {
    rows out;
    auto& s = prepared(text, p, true);
    for (bool more = s.statement.execute(true); more; more = s.statement.fetch()) {
      row& r = out.emplace_back();
      r.columns.reserve(s.fetched.size());
      for (std::size_t i = 0; i < s.fetched.size(); ++i)
        r.columns.emplace_back(s.fetched.get_properties(i).get_name(), value_at(s.fetched, i));
    }
    return out;
  } catch (...) { return failed(); }

  result<std::int64_t> execute(std::string_view text, const parameters& p) override try {
    auto& s = prepared(text, p, false);
    s.statement.execute(true);
    return s.statement.get_affected_rows();
  } catch (...) { return failed(); }

  // IMMEDIATE: the write lock is taken at once, so that no later statement meets SQLITE_BUSY halfway.
  result<void> begin() override { return executed("BEGIN IMMEDIATE"); }
  result<void> commit() override { return executed("COMMIT"); }
  void rollback() noexcept override {
    if (in_transaction()) (void)executed("ROLLBACK");
  }
  bool in_transaction() const noexcept override { return sqlite_api::sqlite3_get_autocommit(conn_) == 0; }

  result<void> once(const char* text) try {
    soci_.once << text;
    return {};
  } catch (...) { return fail(from_current_exception()); }

 private:
  /// A statement, the values bound to it and the row it gives; SOCI keeps pointers to them, so they stay where they
  /// are.
  struct bound {
    bound(soci::session& s, std::string_view text, const parameters& p, bool gives_rows) : statement(s) {
      for (const parameter& one : p) {
        const std::string name(one.name);
        if (std::holds_alternative<std::int64_t>(one.v))
          statement.exchange(soci::use(integers.emplace_back(), name));
        else if (std::holds_alternative<std::string>(one.v))
          statement.exchange(soci::use(texts.emplace_back(), name));
        else
          statement.exchange(soci::use(texts.emplace_back(), null, name));
      }
      if (gives_rows) statement.exchange(soci::into(fetched));
      statement.alloc();
      statement.prepare(std::string(text));
      statement.define_and_bind();
    }
    /// Takes the values of the next execution, of the kinds that it was made with.
    void assign(const parameters& p) {
      auto integer = integers.begin();
      auto t = texts.begin();
      for (const parameter& one : p) {
        if (const auto* n = std::get_if<std::int64_t>(&one.v))
          *integer++ = *n;
        else if (const auto* text = std::get_if<std::string>(&one.v))
          *t++ = *text;
        else
          ++t;
      }
    }
    std::deque<long long> integers;
    std::deque<std::string> texts;
    soci::indicator null = soci::i_null;
    soci::row fetched;
    soci::statement statement;
  };

  /// Statements are kept, since preparing one takes longer than executing it.
  bound& prepared(std::string_view text, const parameters& p, bool gives_rows) {
    std::string key(1, gives_rows ? 'r' : 'x');
    for (const parameter& one : p) key += char('0' + one.v.index());
    key += text;
    auto found = prepared_.find(key);
    if (found == prepared_.end()) {
      if (prepared_.size() >= max_prepared) prepared_.clear();
      found = prepared_.emplace(std::move(key), std::make_unique<bound>(soci_, text, p, gives_rows)).first;
    }
    found->second->assign(p);
    return *found->second;
  }

  /// In a catch block. A statement that has failed may hold locks until it is gone.
  tl::unexpected<error> failed() {
    auto why = from_current_exception();
    prepared_.clear();
    return fail(std::move(why));
  }

  result<void> executed(std::string_view text) {
    CHECK(execute(text, {}));
    return {};
  }

  soci::session soci_;
  sqlite_api::sqlite3* conn_ = nullptr;
  std::unordered_map<std::string, std::unique_ptr<bound>> prepared_;  ///< gone before the session
};

}  // namespace

result<std::unique_ptr<session>> open_sqlite(const io::fs::path& file) try {
  // Made here with the right mode: SQLite would use the umask. -wal and -shm inherit the mode of the file.
  io::unique_fd made(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made) return fail(errno_error(errno, "open the database " + file.string()).during("database"));
  made.reset();
  // SOCI takes quoted values; a quote in the path would end the value early.
  if (file.string().find('"') != std::string::npos)
    return fail(errc::invalid_argument, "the database's path must not hold a quotation mark");
  auto s = std::make_unique<sqlite_session>("dbname=\"" + file.string() + "\" timeout=5");
  for (const char* text : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
                           "PRAGMA temp_store=MEMORY", "PRAGMA wal_autocheckpoint=2000"})
    CHECK(s->once(text));
  return s;
} catch (...) { return fail(from_current_exception()); }

}  // namespace evp::sql
