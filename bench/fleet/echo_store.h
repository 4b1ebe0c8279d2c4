// The echo's durable answers: an SQLite database in WAL with synchronous=FULL, one row an answer, committed in batches.
#pragma once

#include <sqlite3.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "io/files.h"

namespace evp::bench {

struct echo_request {
  std::string device, id, text;
};

/// Commits on a thread of its own what waits, at most max_batch rows at a time, as the backend's database does.
class echo_store {
 public:
  static constexpr std::size_t max_batch = 1000;  ///< the backend's bound

  /// The eventfd `done` is written to after each commit. Lives as long as the process.
  echo_store(const io::fs::path& file, int done);
  void add(std::vector<echo_request> all);
  /// What was committed since the last call.
  std::vector<echo_request> committed();

 private:
  [[noreturn]] void failed();
  void run(const char* text);
  void work();
  void write(const std::vector<echo_request>& batch);

  int done_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<echo_request> waiting_, committed_;  // guarded by mutex_
};

}  // namespace evp::bench
