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
#include <random>
#include <thread>

#include "sql/audit_store.h"
#include "sql/connection.h"
#include "sql/schema.h"

namespace evp::sql {
namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t max_batch = 1000;  // closures in one transaction: bounds how long the first one waits
constexpr int max_tries = 4;             // of a transaction that conflicts with another, or whose connection is lost
constexpr milliseconds reconnect_first{100}, reconnect_most{1'000};
constexpr milliseconds max_silence{10'000};  // longer than the server lets a statement take

[[noreturn]] void defect(std::string_view what, std::string_view column) {
  std::fprintf(stderr, "sql: column %.*s: %.*s\n", int(column.size()), column.data(), int(what.size()), what.data());
  std::abort();
}

const value& column_of(const row& r, std::string_view name) {
  for (const auto& [n, v] : r.columns)
    if (n == name) return v;
  defect("no such column in the answer", name);
}

bool is_postgresql(std::string_view url) { return url.starts_with("postgresql://") || url.starts_with("postgres://"); }

result<std::unique_ptr<session>> connect(std::string_view url) {
  constexpr std::string_view sqlite = "sqlite://";
  if (url.starts_with(sqlite)) {
    const auto path = url.substr(sqlite.size());
    if (!path.starts_with('/'))
      return fail(errc::invalid_argument,
                  "database URL: write the file's whole path, as in sqlite:///var/lib/evp/backend.db");
    return open_sqlite(io::fs::path(path));
  }
  if (!is_postgresql(url))
    return fail(errc::invalid_argument,
                "database URL: expected sqlite:///path/file.db or postgresql://user@host:port/name");
  TRY(auto parameters, postgresql_parameters(url));
  return open_postgresql(std::move(parameters));
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
  /// How an attempt at a batch ended.
  enum class ending {
    over,      ///< each closure has its outcome
    conflict,  ///< undone; it may succeed when repeated
    lost,      ///< the connection was lost before the commit
  };

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
      const auto began = steady::now();
      run(b);
      busy_us.fetch_add(std::uint64_t((steady::now() - began) / std::chrono::microseconds(1)),
                        std::memory_order_relaxed);
      io::asio::post(ex, [done = std::make_shared<batch>(std::move(b))] {
        for (auto& w : *done) w.resume(std::move(w.outcome));
      });
    }
  }

  static void fail_all(batch& b, const error& e) {
    for (auto& w : b) w.outcome = fail(e);
  }

  /// Repeats what conflicts or was lost halfway, a bounded number of times; closures that conflict together are tried
  /// one by one.
  void run(batch& b) {
    for (int tries = max_tries;; --tries) {
      if (auto there = connected(); !there) return fail_all(b, there.error());
      const auto how = attempt(b);
      if (!session->is_lost()) reached.store(steady::now().time_since_epoch().count(), std::memory_order_relaxed);
      if (how == ending::over || tries == 1) return;
      if (how == ending::lost) continue;
      if (b.size() > 1) return run_each(b);
      std::this_thread::sleep_for(milliseconds(std::uniform_int_distribution(1, 20)(random)));
    }
  }

  void run_each(batch& b) {
    for (auto& w : b) {
      batch one;
      one.push_back(std::move(w));
      run(one);
      w = std::move(one.front());
    }
  }

  /// Makes a lost connection anew, with a back-off between the attempts: closures fail at once meanwhile.
  result<void> connected() {
    if (!session->is_lost()) return {};
    if (steady::now() < next_connect) return fail(out_of_reach);
    if (auto made = session->reconnect(); !made) {
      std::uniform_int_distribution draw(reconnect_wait.count() / 2, reconnect_wait.count());
      next_connect = steady::now() + milliseconds(draw(random));
      reconnect_wait = std::min(reconnect_wait * 2, reconnect_most);
      out_of_reach = std::move(made).error();
      return fail(out_of_reach);
    }
    reconnect_wait = reconnect_first;
    connections.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  /// Runs the closures in one transaction. Where the database ended the transaction by itself, those that ran fail,
  /// and those that did not go back to the queue.
  /// Most batches have no closure that fails, so they need no savepoints: where one does fail, all are undone and run
  /// again, `each_apart`.
  ending attempt(batch& b, bool each_apart = false) {
    (void)session->take_conflict();
    session->last_part().clear();
    session->notes.clear();
    const auto undone = [&](const error& e) {
      session->rollback();
      failed.fetch_add(1, std::memory_order_relaxed);
      fail_all(b, e);
      if (session->is_lost()) return ending::lost;
      return session->take_conflict() ? ending::conflict : ending::over;
    };
    if (auto begun = session->begin(); !begun) return undone(begun.error());
    const bool alone = b.size() == 1;
    for (std::size_t i = 0; i < b.size(); ++i) {
      b[i].outcome = each_apart ? run_apart(b[i].work) : b[i].work(*session);
      const bool goes_on = session->in_transaction();
      if (goes_on && (b[i].outcome || each_apart)) continue;
      if (goes_on && !alone) {
        session->rollback();
        return attempt(b, true);
      }
      const auto gave_up = error(errc::unavailable, "the database gave the transaction up");
      const error e = b[i].outcome ? gave_up : b[i].outcome.error();
      if (!session->is_lost()) put_back(b, i + 1);
      return undone(e);
    }
    if (session->take_conflict()) {
      session->rollback();
      fail_all(b, error(errc::unavailable, "the database is busy with conflicting changes: try again"));
      return ending::conflict;
    }
    if (auto done = finish(); !done) {
      (void)undone(done.error());
      return session->is_lost() ? ending::lost : ending::conflict;
    }
    if (auto committed = session->commit(); !committed) {
      const bool unknown = session->is_lost();
      const auto how = undone(committed.error());
      if (!unknown) return how;
      fail_all(b, error(errc::unavailable,
                        "the connection to the database was lost during a commit: nobody knows whether it counted"));
      return ending::over;
    }
    commits.fetch_add(1, std::memory_order_relaxed);
    closures.fetch_add(b.size(), std::memory_order_relaxed);
    return ending::over;
  }

  /// What the closures have left for the end of the transaction.
  result<void> finish() {
    auto& last = session->last_part();
    if (last.empty() && session->notes.empty()) return {};
    CHECK(session->enter_last_part());
    for (const auto& work : last) CHECK(work(*session));
    return append_audit(*session, session->notes);
  }

  /// An error undoes what this closure did, and only that.
  result<void> run_apart(const job& work) {
    const auto noted = session->notes.size();
    CHECK(session->execute("SAVEPOINT one"));
    const auto last = session->last_part().size();
    auto outcome = work(*session);
    if (!session->in_transaction()) return outcome;
    if (!outcome) {
      session->last_part().resize(last);
      session->notes.resize(noted);
      CHECK(session->execute("ROLLBACK TO SAVEPOINT one"));
    }
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
  std::atomic<std::uint64_t> commits = 0, closures = 0, connections = 1, failed = 0, busy_us = 0;
  std::atomic<steady::rep> reached = steady::now().time_since_epoch().count();
  std::function<void()> on_announced;             // executor
  std::unique_ptr<postgresql_listener> listener;  // null: SQLite
  // Database thread.
  std::minstd_rand random{std::random_device()()};
  steady::time_point next_connect;
  milliseconds reconnect_wait = reconnect_first;
  error out_of_reach{errc::unavailable, "the database is out of reach"};
  std::thread thread;
};

database::database(std::shared_ptr<state> s) : state_(std::move(s)) {
  state_->thread = std::thread([st = state_.get()] { st->work(); });
}

database::~database() {
  state_->on_announced = nullptr;
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_one();
  state_->thread.join();
  state_->listener.reset();
}

result<std::unique_ptr<database>> database::open(io::executor ex, std::string_view url,
                                                 std::span<const migration> migrations) {
  TRY(auto session, connect(url));
  CHECK(session->begin_migrations());
  CHECK(migrate(*session, migrations));
  CHECK(session->end_migrations());
  auto made = std::unique_ptr<database>(new database(std::make_shared<state>(ex, std::move(session))));
  if (!is_postgresql(url)) return made;
  TRY(auto parameters, postgresql_parameters(url));
  auto heard = [ex, to = std::weak_ptr(made->state_)] {
    io::asio::post(ex, [to] {
      const auto alive = to.lock();
      if (alive && alive->on_announced) alive->on_announced();
    });
  };
  auto watch = [s = made->state_->session.get()] { s->cut_if_silent(max_silence); };
  made->state_->listener =
      std::make_unique<postgresql_listener>(std::move(parameters), std::move(heard), std::move(watch));
  return made;
}

void database::set_on_announced(std::function<void()> heard) { state_->on_announced = std::move(heard); }
bool database::is_shared() const noexcept { return state_->listener != nullptr; }
steady_time database::reached_at() const noexcept {
  if (!is_shared()) return steady::now();
  return steady_time(steady::duration(state_->reached.load(std::memory_order_relaxed)));
}
std::uint64_t database::connections() const noexcept { return state_->connections.load(std::memory_order_relaxed); }
database::counters database::count() const noexcept {
  const auto& s = *state_;
  counters out{s.commits.load(), s.closures.load(), s.failed.load(), double(s.busy_us.load()) / 1e6, 0};
  std::lock_guard lock(state_->mutex);
  out.waiting = s.queue.size();
  return out;
}

io::task<result<void>> database::submit(job work) {
  auto s = state_;
  auto start = [s, work = std::move(work)](auto handler) mutable {
    auto h = std::make_shared<decltype(handler)>(std::move(handler));
    auto alive = std::make_shared<io::asio::executor_work_guard<io::executor>>(s->ex);
    bool queued = false, is_first = false;
    {
      std::lock_guard lock(s->mutex);
      is_first = s->queue.empty();
      if (s->queue.size() < max_queued) {
        s->queue.push_back({std::move(work), [h, alive](result<void> r) { (*h)(std::move(r)); }, {}});
        queued = true;
      }
    }
    if (!queued)
      io::asio::post(
          s->ex, [h] { (*h)(result<void>(fail(errc::rate_limited, "the database is overloaded: try again later"))); });
    if (is_first) s->wake.notify_one();  // before the others it is awake, or will be in a moment
  };
  auto token = io::asio::bind_cancellation_slot(io::asio::cancellation_slot(), io::asio::use_awaitable);
  auto pending = io::asio::async_initiate<decltype(token), void(result<void>)>(std::move(start), token);
  auto outcome = co_await std::move(pending);
  co_return outcome;
}

}  // namespace evp::sql
