// Copies SQLite's write-ahead log into the database file on a thread of its own, so that no commit waits for it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "io/files.h"

struct sqlite3;

namespace evp::sql {

/// SQLite checkpoints in the commit that makes the log long, and that commit, with all that wait behind it, takes as
/// long as the disk needs for some thousand pages. A passive checkpoint on another connection takes no lock that a
/// writer needs (https://www.sqlite.org/c3ref/wal_checkpoint_v2.html). But the log begins anew only when all of it has
/// been copied and nobody writes meanwhile: while commits never pause it grows. Once it is long, this thread copies
/// until little is left, and the writer is told to copy that little by itself, so that its next commit begins the log
/// anew.
class checkpointer {
 public:
  static constexpr int pages_between = 1'000;  ///< of 4 KiB
  static constexpr int long_pages = 16'000;    ///< 64 MiB: to begin anew as soon as that is cheap
  static constexpr int last_pages = 256;       ///< that the writer copies then; the disk takes them in some ms
  static constexpr int most_pages = 24'000;    ///< 96 MiB: to begin anew, whatever is left to copy

  /// Of an existing database in WAL mode. Errors: unavailable (the file cannot be opened).
  static result<std::unique_ptr<checkpointer>> start(const io::fs::path& file);
  ~checkpointer();
  checkpointer(const checkpointer&) = delete;
  checkpointer& operator=(const checkpointer&) = delete;

  /// After a commit that left so many pages in the log: whether the writer is to copy the rest, now. On any thread;
  /// waits for nothing.
  bool note(int pages);

 private:
  explicit checkpointer(sqlite3* db);
  void work();
  /// To the disk, what was copied.
  void flush();

  sqlite3* db_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool wanted_ = false, working_ = false, stopping_ = false;
  int copied_ = 0;  // pages of the log, as of the last checkpoint
  std::thread thread_;
};

}  // namespace evp::sql
