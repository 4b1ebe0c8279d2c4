#include "sql/database.h"

#include <sys/stat.h>

#include <future>
#include <mutex>

#include "sql/checkpointer.h"
#include "sql/connection.h"
#include "sql/devices_store.h"
#include "sql/schema.h"
#include "sql/test_database.h"

namespace evp::sql {
namespace {

using testing::HasSubstr;

using database_test = test_database;
INSTANTIATE_TEST_SUITE_P(, database_test, on_both, name_of_database);

/// What SQLite does with its file.
struct sqlite_test : testing::Test {
  temporary_folder folder_;
  io::asio::io_context ctx_;
  std::unique_ptr<database> db_ =
      database::open(ctx_.get_executor(), "sqlite://" + (folder_.path() / "backend.db").string()).value();
  template <class T>
  result<T> in_db(std::function<result<T>(connection&)> f) {
    return sql::run(ctx_, db_->run<T>(std::move(f)));
  }
};

result<void> add_device(connection& c, const std::string& id) {
  return insert_device(c, {id, std::string(64, 'a'), false, 1});
}

TEST_P(database_test, a_closure_s_rows_are_there_once_it_has_returned) {
  ASSERT_TRUE(in_db([](connection& c) { return add_device(c, "cam-1"); }));
  const auto all = in_db([](connection& c) { return list_devices(c); });
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ(all->at(0).id, "cam-1");
}

TEST_P(database_test, what_was_committed_survives_a_reopening) {
  ASSERT_TRUE(in_db([](connection& c) { return add_device(c, "cam-1"); }));
  db_.reset();
  db_ = database::open(ctx_.get_executor(), url()).value();
  EXPECT_EQ(in_db([](connection& c) { return list_devices(c); })->size(), 1u);
}

io::task<int> add_many(database& db, int count, int bad) {
  int succeeded = 0;
  int outstanding = count + 1;
  std::promise<void> go;
  auto busy = [](database& d, std::shared_future<void> until, int& left) -> io::task<void> {
    std::function<result<void>(connection&)> work = [until](connection&) -> result<void> {
      until.wait();  // the others queue meanwhile
      return {};
    };
    (void)co_await d.run<void>(std::move(work));
    --left;
  };
  io::asio::co_spawn(co_await io::asio::this_coro::executor, busy(db, go.get_future().share(), outstanding),
                     [](std::exception_ptr e) { ASSERT_FALSE(e); });
  for (int i = 0; i < count; ++i) {
    auto one = [](database& d, int n, bool fails, int& good, int& left) -> io::task<void> {
      std::function<result<void>(connection&)> work = [n, fails](connection& c) -> result<void> {
        CHECK(add_device(c, "cam-" + std::to_string(n)));
        if (fails) return fail(errc::invalid_argument, "on purpose");
        return {};
      };
      const auto r = co_await d.run<void>(std::move(work));
      good += r.has_value();
      --left;
    };
    io::asio::co_spawn(co_await io::asio::this_coro::executor, one(db, i, i == bad, succeeded, outstanding),
                       [](std::exception_ptr e) { ASSERT_FALSE(e); });
  }
  co_await io::sleep_for(milliseconds(1));  // all of them have begun
  go.set_value();
  while (outstanding > 0) co_await io::sleep_for(milliseconds(1));
  co_return succeeded;
}

TEST_P(database_test, closures_that_wait_together_share_commits_and_only_the_failing_one_is_rolled_back) {
  EXPECT_EQ(run(add_many(*db_, 200, 77)), 199);
  const auto all = in_db([](connection& c) { return list_devices(c); });
  EXPECT_EQ(all->size(), 199u);
  EXPECT_EQ(std::count_if(all->begin(), all->end(), [](const auto& d) { return d.id == "cam-77"; }), 0);
  EXPECT_LT(db_->count().commits, 50u);
  EXPECT_GE(db_->count().closures, 200u);
}

TEST_P(database_test, a_second_row_of_the_same_key_is_already_exists) {
  ASSERT_TRUE(in_db([](connection& c) { return add_device(c, "cam-1"); }));
  const auto again = in_db([](connection& c) { return add_device(c, "cam-1"); });
  EXPECT_EQ(again.error().code(), errc::already_exists);
}

TEST_P(database_test, a_reference_to_nothing_is_failed_precondition) {
  const auto r = in_db([](connection& c) {
    return c.execute("INSERT INTO deployments (device, manifest, updated_at) VALUES ('nobody', '{}', 1)");
  });
  EXPECT_EQ(r.error().code(), errc::failed_precondition);
}

TEST_F(sqlite_test, a_commit_is_synchronous_and_in_the_write_ahead_log) {
  const auto journal = in_db<rows>([](connection& c) { return c.query("PRAGMA journal_mode"); });
  ASSERT_TRUE(journal);
  EXPECT_EQ(journal->at(0).text("journal_mode"), "wal");
  const auto synchronous = in_db<rows>([](connection& c) { return c.query("PRAGMA synchronous"); });
  EXPECT_EQ(synchronous->at(0).integer("synchronous"), 2);  // FULL
}

TEST_F(sqlite_test, the_log_is_copied_into_the_database_before_the_writer_has_to) {
  constexpr std::uintmax_t copied = std::uintmax_t(checkpointer::pages_between) * 4096 / 2;
  const std::string text(100'000, 'a');
  for (int i = 0; i < 2 * checkpointer::pages_between * 4096 / 100'000; ++i)
    ASSERT_TRUE(in_db<void>([&](connection& c) -> result<void> {
      const auto name = "cam-" + std::to_string(i);
      CHECK(add_device(c, name));
      CHECK(c.execute("INSERT INTO deployments (device, manifest, updated_at) VALUES (:name, :text, 1)",
                      {{"name", name}, {"text", text}}));
      return {};
    }));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const auto size = [&] { return io::fs::file_size(folder_.path() / "backend.db"); };
  while (size() < copied && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GE(size(), copied);
}

TEST_F(sqlite_test, the_log_is_copied_into_the_database_meanwhile_and_begins_anew) {
  ASSERT_TRUE(in_db<void>([](connection& c) { return add_device(c, "cam-1"); }));
  ASSERT_TRUE(in_db<std::int64_t>([](connection& c) {
    return c.execute("INSERT INTO deployments (device, manifest, updated_at) VALUES ('cam-1', '', 1)");
  }));
  std::uintmax_t longest = 0;
  int without_growth = 0;
  for (int i = 0; i < 2'000 && without_growth < 20; ++i) {
    const parameters text{
        {"text", std::string(100'000, char('a' + i % 26))}};  // pages that stay as they are cost nothing
    ASSERT_TRUE(in_db<std::int64_t>([&](connection& c) {
      return c.execute("UPDATE deployments SET manifest = :text, updated_at = updated_at + 1", text);
    }));
    const auto bytes = io::fs::file_size(folder_.path() / "backend.db-wal");
    without_growth += bytes == longest;
    longest = std::max(longest, bytes);
  }
  EXPECT_EQ(without_growth, 20);
  EXPECT_LT(longest, std::uintmax_t(2 * checkpointer::most_pages) * 4096);
}

TEST_F(sqlite_test, the_files_are_the_owner_s_alone) {
  ASSERT_TRUE(in_db<void>([](connection& c) { return add_device(c, "cam-1"); }));
  for (const auto& f : io::fs::directory_iterator(folder_.path())) {
    struct stat s {};
    ASSERT_EQ(::stat(f.path().c_str(), &s), 0);
    EXPECT_EQ(s.st_mode & 0777, 0600u) << f.path();
  }
}

TEST_F(sqlite_test, a_file_that_is_no_database_is_data_corrupt) {
  const auto path = folder_.path() / "other.db";
  ASSERT_TRUE(io::write_file_durably(path, std::string(8192, 'x')));
  const auto r = database::open(ctx_.get_executor(), "sqlite://" + path.string());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code(), errc::data_corrupt);
}

TEST_F(sqlite_test, other_urls_are_refused_with_the_form_to_use) {
  EXPECT_THAT(database::open(ctx_.get_executor(), "mysql://x").error().message(), HasSubstr("sqlite:///"));
  EXPECT_EQ(database::open(ctx_.get_executor(), "mysql://x").error().code(), errc::invalid_argument);
  EXPECT_EQ(database::open(ctx_.get_executor(), "sqlite://relative.db").error().code(), errc::invalid_argument);
}

TEST_P(database_test, nulls_integers_and_texts_come_back_as_they_went) {
  ASSERT_TRUE(in_db([](connection& c) { return c.execute("CREATE TABLE t (n BIGINT, s TEXT)"); }));
  const std::string text = "it's \"quoted\": \xc3\xa9 :name";
  ASSERT_TRUE(in_db([&](connection& c) {
    return c.execute("INSERT INTO t (n, s) VALUES (:n, :s)", {{"n", std::int64_t(1) << 62}, {"s", text}});
  }));
  ASSERT_TRUE(in_db([](connection& c) {
    return c.execute("INSERT INTO t (n, s) VALUES (:n, :s)", {{"n", value()}, {"s", value()}});
  }));
  const auto found = in_db([](connection& c) { return c.query("SELECT n, s FROM t"); });
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ(found->at(0).integer("n"), std::int64_t(1) << 62);
  EXPECT_EQ(found->at(0).text("s"), text);
  EXPECT_TRUE(found->at(1).is_null("n"));
  EXPECT_TRUE(found->at(1).is_null("s"));
}

// Of several: where one fails, those before it are undone too and run again, each with a savepoint of its own.
TEST_P(database_test, what_is_left_for_the_end_is_done_after_all_closures_and_not_for_one_that_failed) {
  const auto order = std::make_shared<std::vector<std::string>>();
  const auto closure = [order](std::string name, bool fails) -> std::function<result<void>(connection&)> {
    return [=](connection& c) -> result<void> {
      order->push_back(name);
      c.at_end([=](connection& last) -> result<void> {
        order->push_back("end of " + name);
        return add_device(last, name);
      });
      if (fails) return fail(errc::invalid_argument, "on purpose");
      return {};
    };
  };
  int left = 3;
  const auto one = [&left](database& d, std::function<result<void>(connection&)> f) -> io::task<void> {
    (void)co_await d.run<void>(std::move(f));
    --left;
  };
  std::promise<void> begun, go;
  std::once_flag first;
  const auto busy = [&begun, &first, waits = go.get_future().share()](connection& c) -> result<void> {
    std::call_once(first, [&] { begun.set_value(); });
    waits.wait();  // the others wait meanwhile, and then share a transaction
    return c.query("SELECT 1 AS one").map([](auto) {});
  };
  io::asio::co_spawn(ctx_, one(*db_, busy), [](auto) {});
  ctx_.poll();
  begun.get_future().wait();
  left += 1;
  for (const auto* name : {"a", "b", "c"})
    io::asio::co_spawn(ctx_, one(*db_, closure(name, *name == 'b')), [](auto) {});
  ctx_.restart();
  ctx_.poll();  // they are in the queue
  go.set_value();
  ctx_.restart();
  while (left > 0) ctx_.run_one();
  EXPECT_EQ(*order, (std::vector<std::string>{"a", "b", "a", "b", "c", "end of a", "end of c"}));
  EXPECT_EQ(in_db([](connection& c) { return list_devices(c); })->size(), 2u);
}

TEST(sqlite_sessions, a_batch_whose_transaction_the_database_ended_reports_failure_and_goes_on) {
  temporary_folder folder;
  io::asio::io_context ctx;
  auto db = database::open(ctx.get_executor(), "sqlite://" + (folder.path() / "a.db").string()).value();
  const auto ended = sql::run(ctx, db->run<void>([](connection& c) -> result<void> {
    CHECK(add_device(c, "cam-1"));
    return c.execute("ROLLBACK").map([](auto) {});  // as SQLite does by itself when the disk is full
  }));
  EXPECT_EQ(ended.error().code(), errc::unavailable);
  EXPECT_TRUE(sql::run(ctx, db->run<void>([](connection& c) { return add_device(c, "cam-2"); })));
  const auto all = sql::run(ctx, db->run<std::vector<device_row>>([](connection& c) { return list_devices(c); }));
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ(all->at(0).id, "cam-2");
}

}  // namespace
}  // namespace evp::sql
