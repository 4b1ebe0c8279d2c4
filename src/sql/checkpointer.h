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
/// been copied and nobody writes meanwhile: while commits never pause it grows, and is_too_long() tells the writer to
/// copy the rest by itself.
class checkpointer {
 public:
  static constexpr int pages_between = 1'000;  ///< of 4 KiB
  static constexpr int most_pages = 16'000;    ///< 64 MiB

  /// Of an existing database in WAL mode. Errors: unavailable (the file cannot be opened).
  static result<std::unique_ptr<checkpointer>> start(const io::fs::path& file);
  ~checkpointer();
  checkpointer(const checkpointer&) = delete;
  checkpointer& operator=(const checkpointer&) = delete;

  /// After a commit that left so many pages in the log. On any thread; waits for nothing.
  void note(int pages);
  static bool is_too_long(int pages) { return pages >= most_pages; }

 private:
  explicit checkpointer(sqlite3* db);
  void work();

  sqlite3* db_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool wanted_ = false, stopping_ = false;
  int copied_ = 0;  // pages of the log, as of the last checkpoint
  std::thread thread_;
};

}  // namespace evp::sql
