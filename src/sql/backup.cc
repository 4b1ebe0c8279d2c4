#include "sql/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/freed.h"

namespace evp::sql {
namespace {

using handle = std::unique_ptr<sqlite3, freed<::sqlite3_close_v2>>;

constexpr int pages_at_once = 1024;  // 4 MiB: others may write between two steps
constexpr int longest_wait_ms = 30'000;

error failure(sqlite3* db, const io::fs::path& file) {
  const int code = ::sqlite3_errcode(db) & 0xff;
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  return {damaged ? errc::data_corrupt : errc::unavailable,
          "the copy of the database, " + file.string() + ": " + ::sqlite3_errmsg(db)};
}

result<handle> open(const io::fs::path& file, int flags) {
  sqlite3* raw = nullptr;
  const int code = ::sqlite3_open_v2(file.c_str(), &raw, flags, nullptr);
  handle out(raw);
  if (code != SQLITE_OK) return fail(raw ? failure(raw, file) : error(errc::unavailable, "no memory for a database"));
  ::sqlite3_busy_timeout(raw, longest_wait_ms);
  return out;
}

result<void> copy(sqlite3* from, sqlite3* to, const io::fs::path& file) {
  sqlite3_backup* const run = ::sqlite3_backup_init(to, "main", from, "main");
  if (!run) return fail(failure(to, file));
  int code = SQLITE_OK;
  while (code == SQLITE_OK) code = ::sqlite3_backup_step(run, pages_at_once);
  ::sqlite3_backup_finish(run);
  if (code != SQLITE_DONE) return fail(failure(to, file));
  return {};
}

}  // namespace

result<void> back_up(std::string_view url, const io::fs::path& to) {
  constexpr std::string_view scheme = "sqlite://";
  if (!url.starts_with(scheme))
    return fail(errc::unsupported, "only a SQLite database is copied here: use pg_dump for PostgreSQL");
  const io::fs::path file(url.substr(scheme.size()));
  std::error_code ignored;
  if (!io::fs::exists(file, ignored)) return fail(errc::not_found, "there is no database " + file.string());
  // Made here with the right mode: SQLite would use the umask.
  io::unique_fd made(::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made) return fail(errno_error(errno, to.string()));
  {
    TRY(const auto source, open(file, SQLITE_OPEN_READWRITE));  // a reader of a WAL writes to its index
    TRY(const auto target, open(to, SQLITE_OPEN_READWRITE));
    CHECK(copy(source.get(), target.get(), to));
  }
  if (::fsync(made.get()) != 0) return fail(errno_error(errno, to.string()));
  return io::sync_directory(to.parent_path());
}

}  // namespace evp::sql
