#include "sql/database.h"

#include <atomic>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include "sql/connection.h"
#include "sql/schema.h"

namespace evp::sql {
namespace {

constexpr std::size_t max_batch = 1000;  // closures in one transaction: bounds how long the first one waits

[[noreturn]] void defect(std::string_view what, std::string_view column) {
  std::fprintf(stderr, "sql: column %.*s: %.*s\n", int(column.size()), column.data(), int(what.size()), what.data());
  std::abort();
}

const value& column_of(const row& r, std::string_view name) {
  for (const auto& [n, v] : r.columns)
    if (n == name) return v;
  defect("no such column in the answer", name);
}

result<std::unique_ptr<session>> connect(std::string_view url) {
  constexpr std::string_view sqlite = "sqlite://";
  if (url.starts_with(sqlite)) {
    const auto path = url.substr(sqlite.size());
    if (!path.starts_with('/'))
      return fail(errc::invalid_argument,
                  "database URL: write the file's whole path, as in sqlite:///var/lib/evp/backend.db");
    return open_sqlite(io::fs::path(path));
  }
  if (url.starts_with("postgresql://") || url.starts_with("postgres://"))
    return fail(errc::unsupported,
                "database URL: this version keeps its data in SQLite only; use sqlite:///path/file.db");
  return fail(errc::invalid_argument, "database URL: expected sqlite:///path/file.db");
}

}  // namespace

std::int64_t row::integer(std::string_view column) const {
  const value& v = column_of(*this, column);
  if (const auto* n = std::get_if<std::int64_t>(&v)) return *n;
  // SOCI gives the value of an expression, which has no declared type in SQLite, as text.
  std::int64_t n = 0;
  const auto* t = std::get_if<std::string>(&v);
  if (!t || std::from_chars(t->data(), t->data() + t->size(), n).ptr != t->data() + t->size() || t->empty())
    defect("no integer", column);
  return n;
}
std::string row::text(std::string_view column) const {
  const auto* t = std::get_if<std::string>(&column_of(*this, column));
  if (!t) defect("no text", column);
  return *t;
}
bool row::is_null(std::string_view column) const {
  return std::holds_alternative<std::monostate>(column_of(*this, column));
}

struct database::state {
  struct waiting {
    job work;
    std::function<void(result<void>)> resume;
    result<void> outcome;
  };
  using batch = std::deque<waiting>;

  explicit state(io::executor e, std::unique_ptr<session> s) : ex(std::move(e)), session(std::move(s)) {}

  /// Database thread: takes what waits, as one transaction, until stopped and empty.
  void work() {
    for (;;) {
      batch b;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stopping || !queue.empty(); });
        if (queue.empty()) return;
        for (; !queue.empty() && b.size() < max_batch; queue.pop_front()) b.push_back(std::move(queue.front()));
      }
      batch done = run(std::move(b));
      io::asio::post(ex, [done = std::make_shared<batch>(std::move(done))] {
        for (auto& w : *done) w.resume(std::move(w.outcome));
      });
    }
  }

  /// Runs the closures in one transaction. Where the database ended the transaction by itself, those that ran fail,
  /// and those that did not go back to the queue.
  batch run(batch b) {
    const auto all_fail = [&](const error& e) {
      session->rollback();
      for (auto& w : b) w.outcome = fail(e);
      return std::move(b);
    };
    if (auto begun = session->begin(); !begun) return all_fail(begun.error());
    for (std::size_t i = 0; i < b.size(); ++i) {
      b[i].outcome = run_one(b[i].work);
      if (session->in_transaction()) continue;
      const error e =
          b[i].outcome ? error(errc::unavailable, "the database gave the transaction up") : b[i].outcome.error();
      put_back(b, i + 1);
      return all_fail(e);
    }
    if (auto committed = session->commit(); !committed) return all_fail(committed.error());
    commits.fetch_add(1, std::memory_order_relaxed);
    closures.fetch_add(b.size(), std::memory_order_relaxed);
    return b;
  }

  result<void> run_one(const job& work) {
    CHECK(session->execute("SAVEPOINT one"));
    auto outcome = work(*session);
    if (!session->in_transaction()) return outcome;
    if (!outcome) CHECK(session->execute("ROLLBACK TO SAVEPOINT one"));
    CHECK(session->execute("RELEASE SAVEPOINT one"));
    return outcome;
  }

  void put_back(batch& b, std::size_t from) {
    std::lock_guard lock(mutex);
    while (b.size() > from) {
      queue.push_front(std::move(b.back()));
      b.pop_back();
    }
  }

  io::executor ex;
  std::unique_ptr<class session> session;
  std::mutex mutex;
  std::condition_variable wake;
  batch queue;  // guarded by mutex
  bool stopping = false;
  std::atomic<std::uint64_t> commits = 0, closures = 0;
  std::thread thread;
};

database::database(std::shared_ptr<state> s) : state_(std::move(s)) {
  state_->thread = std::thread([st = state_.get()] { st->work(); });
}

database::~database() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_one();
  state_->thread.join();
}

result<std::unique_ptr<database>> database::open(io::executor ex, std::string_view url,
                                                 std::span<const migration> migrations) {
  TRY(auto session, connect(url));
  CHECK(migrate(*session, migrations));
  return std::unique_ptr<database>(new database(std::make_shared<state>(std::move(ex), std::move(session))));
}

database::counters database::count() const noexcept { return {state_->commits.load(), state_->closures.load()}; }

io::task<result<void>> database::submit(job work) {
  auto s = state_;
  auto start = [s, work = std::move(work)](auto handler) mutable {
    auto h = std::make_shared<decltype(handler)>(std::move(handler));
    auto alive = std::make_shared<io::asio::executor_work_guard<io::executor>>(s->ex);
    bool queued = false;
    {
      std::lock_guard lock(s->mutex);
      if (s->queue.size() < max_queued) {
        s->queue.push_back({std::move(work), [h, alive](result<void> r) { (*h)(std::move(r)); }, {}});
        queued = true;
      }
    }
    if (!queued)
      io::asio::post(
          s->ex, [h] { (*h)(result<void>(fail(errc::rate_limited, "the database is overloaded: try again later"))); });
    s->wake.notify_one();
  };
  auto token = io::asio::bind_cancellation_slot(io::asio::cancellation_slot(), io::asio::use_awaitable);
  auto pending = io::asio::async_initiate<decltype(token), void(result<void>)>(std::move(start), token);
  auto outcome = co_await std::move(pending);
  co_return outcome;
}

}  // namespace evp::sql
