#include "sql/checkpointer.h"

#include <sqlite3.h>

namespace evp::sql {

result<std::unique_ptr<checkpointer>> checkpointer::start(const io::fs::path& file) {
  sqlite3* db = nullptr;
  const int code = ::sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  // Without a look at the database the connection does not know of the log, and copies nothing of it.
  if (code != SQLITE_OK || ::sqlite3_exec(db, "PRAGMA schema_version", nullptr, nullptr, nullptr) != SQLITE_OK) {
    ::sqlite3_close_v2(db);
    return fail(errc::unavailable, "the database file cannot be opened a second time: " + file.string());
  }
  return std::unique_ptr<checkpointer>(new checkpointer(db));
}

checkpointer::checkpointer(sqlite3* db) : db_(db) {
  thread_ = std::thread([this] { work(); });
}

checkpointer::~checkpointer() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  ::sqlite3_close_v2(db_);
}

bool checkpointer::note(int pages) {
  {
    const std::scoped_lock lock(mutex_);
    if (pages < copied_) copied_ = 0;  // the log has begun anew
    const int left = pages - copied_;
    if (pages >= most_pages) return true;
    if (pages >= long_pages && left <= last_pages) return !working_;
    if (pages < long_pages && left < pages_between) return false;
    wanted_ = true;
  }
  wake_.notify_one();
  return false;
}

// SQLite leaves it to the checkpoint that gets to the end of the log: the writer's, which would wait for all of it.
void checkpointer::flush() {
  sqlite3_file* file = nullptr;
  (void)::sqlite3_file_control(db_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (file && file->pMethods) (void)file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

void checkpointer::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return wanted_ || stopping_; });
    if (stopping_) return;
    wanted_ = false;
    working_ = true;
    lock.unlock();
    int copied = -1;
    // A failure (a full disk, another checkpoint) costs nothing: the log holds everything, and the next commit asks
    // again.
    (void)::sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, &copied);
    flush();
    lock.lock();
    working_ = false;
    if (copied >= 0) copied_ = copied;
  }
}

}  // namespace evp::sql
