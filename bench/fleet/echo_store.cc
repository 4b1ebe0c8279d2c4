// The echo's durable answers.
#include "echo_store.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "programs.h"

namespace evp::bench {

echo_store::echo_store(const io::fs::path& file, int done) : done_(done) {
  if (sqlite3_open(file.c_str(), &db_) != SQLITE_OK) failed();
  run("PRAGMA journal_mode=WAL");
  run("PRAGMA synchronous=FULL");
  run("PRAGMA wal_autocheckpoint=2000");
  run("CREATE TABLE answers (n INTEGER PRIMARY KEY, device TEXT NOT NULL, id TEXT NOT NULL, request TEXT NOT NULL)");
  const char* insert = "INSERT INTO answers (device, id, request) VALUES (?, ?, ?)";
  if (sqlite3_prepare_v2(db_, insert, -1, &insert_, nullptr) != SQLITE_OK) failed();
  std::thread([this] { work(); }).detach();
}

void echo_store::failed() { give_up(std::string("the echo's database: ") + sqlite3_errmsg(db_)); }

void echo_store::run(const char* text) {
  if (sqlite3_exec(db_, text, nullptr, nullptr, nullptr) != SQLITE_OK) failed();
}

void echo_store::add(std::vector<echo_request> all) {
  {
    const std::lock_guard lock(mutex_);
    std::move(all.begin(), all.end(), std::back_inserter(waiting_));
  }
  wake_.notify_one();
}

std::vector<echo_request> echo_store::committed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(committed_, {});
}

void echo_store::work() {
  for (;;) {
    std::vector<echo_request> batch;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !waiting_.empty(); });
      const auto end = waiting_.begin() + std::ptrdiff_t(std::min(waiting_.size(), max_batch));
      std::move(waiting_.begin(), end, std::back_inserter(batch));
      waiting_.erase(waiting_.begin(), end);
    }
    write(batch);
    {
      const std::lock_guard lock(mutex_);
      std::move(batch.begin(), batch.end(), std::back_inserter(committed_));
    }
    ::eventfd_write(done_, 1);
  }
}

void echo_store::write(const std::vector<echo_request>& batch) {
  run("BEGIN IMMEDIATE");
  for (const auto& r : batch) {
    int column = 0;
    for (const auto* text : {&r.device, &r.id, &r.text})
      sqlite3_bind_text(insert_, ++column, text->data(), int(text->size()), SQLITE_STATIC);
    if (sqlite3_step(insert_) != SQLITE_DONE) failed();
    sqlite3_reset(insert_);
  }
  run("COMMIT");
}

}  // namespace evp::bench
