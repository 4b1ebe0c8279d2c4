// What only PostgreSQL brings: other programs on the same database, and a connection that can be lost.
#include <fmt/format.h>

#include <future>
#include <thread>

#include "sql/connection.h"
#include "sql/devices_store.h"
#include "sql/events_store.h"
#include "sql/test_database.h"

namespace evp::sql {
namespace {

using testing::HasSubstr;
using testing::Not;

struct postgresql_test : testing::Test {
  std::string url = new_postgresql_database();
  io::asio::io_context ctx;
  std::unique_ptr<database> db = open();

  std::unique_ptr<database> open() { return database::open(ctx.get_executor(), url).value(); }
  template <class T>
  result<T> in(database& d, std::function<result<T>(connection&)> f) {
    return run(ctx, d.run<T>(std::move(f)));
  }
  result<void> add(database& d, const std::string& id) {
    return in<void>(d, [id](connection& c) { return insert_device(c, {id, std::string(64, 'a'), false, 1}); });
  }
  std::size_t devices(database& d) {
    return in<std::vector<device_row>>(d, [](connection& c) { return list_devices(c); }).value().size();
  }
  /// Runs the context until that is so, for a minute at most.
  bool until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + seconds(60);
    bool is_so = condition();
    while (!is_so && std::chrono::steady_clock::now() < end) {
      ctx.restart();
      ctx.run_for(milliseconds(5));
      is_so = condition();
    }
    return is_so;
  }
  /// Starts both closures at once, on two databases, and waits for both.
  std::pair<result<void>, result<void>> both(database& a, std::function<result<void>(connection&)> at_a, database& b,
                                             std::function<result<void>(connection&)> at_b) {
    std::optional<result<void>> one, other;
    const auto keep = [](std::optional<result<void>>& where) {
      return [&where](std::exception_ptr e, result<void> r) {
        if (e) std::rethrow_exception(e);
        where = std::move(r);
      };
    };
    io::asio::co_spawn(ctx, a.run<void>(std::move(at_a)), keep(one));
    io::asio::co_spawn(ctx, b.run<void>(std::move(at_b)), keep(other));
    EXPECT_TRUE(until([&] { return one && other; }));
    return {*one, *other};
  }
};

TEST_F(postgresql_test, a_url_with_a_password_is_refused_without_repeating_it) {
  for (const std::string bad : {"postgresql://evp:geheim@localhost/evp", "postgresql://localhost/evp?password=geheim",
                                "postgresql://localhost/evp?sslpassword=geheim"}) {
    const auto e = database::open(ctx.get_executor(), bad).error();
    EXPECT_EQ(e.code(), errc::invalid_argument);
    EXPECT_THAT(e.message(), HasSubstr("passfile"));
    EXPECT_THAT(e.message(), Not(HasSubstr("geheim")));
  }
  const auto e = database::open(ctx.get_executor(), "postgresql://a:geheim@[::1/x").error();
  EXPECT_EQ(e.code(), errc::invalid_argument);
  EXPECT_THAT(e.message(), Not(HasSubstr("geheim")));
}

TEST_F(postgresql_test, a_password_file_that_the_url_names_lets_in_over_tcp_and_a_wrong_one_does_not) {
  EXPECT_TRUE(database::open(ctx.get_executor(), over_tcp(url, true)));
  const auto refused = database::open(ctx.get_executor(), over_tcp(url, false));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::unavailable);
  EXPECT_THAT(refused.error().message(), HasSubstr("password"));
  EXPECT_THAT(refused.error().message(), Not(HasSubstr(postgresql_password())));
}

TEST_F(postgresql_test, a_commit_survives_a_crash_of_the_server_and_notices_stay_in) {
  const auto setting = [&](const std::string& name) {
    return in<rows>(*db, [&](connection& c) { return c.query("SELECT current_setting('" + name + "') AS s"); })
        ->at(0)
        .text("s");
  };
  EXPECT_EQ(setting("synchronous_commit"), "on");
  EXPECT_EQ(setting("fsync"), "on");
  EXPECT_EQ(setting("transaction_isolation"), "read committed");
  EXPECT_EQ(setting("idle_in_transaction_session_timeout"), "2s");
}

TEST_F(postgresql_test, two_programs_that_start_at_once_make_the_tables_once) {
  url = new_postgresql_database();
  const auto opened = [this] {
    return std::async(std::launch::async, [this] { return database::open(ctx.get_executor(), url); });
  };
  auto a = opened(), b = opened();
  EXPECT_TRUE(a.get());
  EXPECT_TRUE(b.get());
}

TEST_F(postgresql_test, text_that_it_cannot_hold_is_refused_and_the_others_of_the_batch_are_not) {
  EXPECT_EQ(add(*db, std::string("a\0b", 3)).error().code(), errc::invalid_argument);
  EXPECT_EQ(add(*db, "\xff\xfe").error().code(), errc::invalid_argument);
  EXPECT_TRUE(add(*db, "cam-1"));
}

TEST_F(postgresql_test, a_statement_that_fails_in_a_shared_transaction_undoes_its_own_closure_only) {
  const auto commits = db->count().commits;
  std::map<std::string, result<void>> outcomes;
  const auto start = [&](std::string name, std::function<result<void>(connection&)> work) {
    io::asio::co_spawn(ctx, db->run<void>(std::move(work)), [&outcomes, name](std::exception_ptr e, result<void> r) {
      EXPECT_FALSE(e);
      outcomes.emplace(name, std::move(r));
    });
    ctx.restart();
    ctx.poll();
  };
  std::promise<void> go;
  start("busy", [waits = go.get_future().share()](connection&) -> result<void> {
    waits.wait();  // the others queue meanwhile
    return {};
  });
  const auto insert = [](std::string id) {
    return [id](connection& c) -> result<void> {
      CHECK(insert_device(c, {id, "t", false, 1}));
      return insert_device(c, {id == "twice" ? id : id + "+", "t", false, 1});
    };
  };
  for (const auto* id : {"a", "twice", "b"}) start(id, insert(id));
  go.set_value();
  ASSERT_TRUE(until([&] { return outcomes.size() == 4; }));
  EXPECT_TRUE(outcomes.at("a"));
  EXPECT_TRUE(outcomes.at("b"));
  EXPECT_EQ(outcomes.at("twice").error().code(), errc::already_exists);
  EXPECT_EQ(devices(*db), 4u);
  EXPECT_LE(db->count().commits, commits + 3) << "at most: the busy one, the three, and the reading";
}

TEST_F(postgresql_test, a_connection_that_was_lost_while_nothing_ran_is_made_anew) {
  ASSERT_TRUE(add(*db, "cam-1"));
  EXPECT_EQ(db->connections(), 1u);
  end_postgresql_connections(url);
  EXPECT_TRUE(add(*db, "cam-2"));
  EXPECT_EQ(db->connections(), 2u);
  EXPECT_EQ(devices(*db), 2u);
}

TEST_F(postgresql_test, a_closure_whose_connection_is_lost_before_the_commit_is_repeated_and_counts_once) {
  const auto runs = std::make_shared<int>(0);
  const auto outcome = in<void>(*db, [this, runs](connection& c) -> result<void> {
    CHECK(insert_device(c, {"cam-1", "t", false, 1}));
    if (++*runs == 1) end_postgresql_connections(url);
    return insert_device(c, {"cam-2", "t", false, 1});
  });
  EXPECT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ(*runs, 2);
  EXPECT_EQ(devices(*db), 2u);
}

// The server dies in the commit: in a trigger that runs there.
TEST_F(postgresql_test, a_commit_of_unknown_outcome_is_told_as_such_and_not_repeated) {
  for (const auto* text : {"CREATE TABLE t (n BIGINT)",
                           "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
                           "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'",
                           "CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
                           "FOR EACH ROW EXECUTE FUNCTION die()"})
    ASSERT_TRUE(in<std::int64_t>(*db, [text](connection& c) { return c.execute(text); }));
  const auto runs = std::make_shared<int>(0);
  const auto outcome = in<void>(*db, [runs](connection& c) -> result<void> {
    ++*runs;
    return c.execute("INSERT INTO t (n) VALUES (1)").map([](auto) {});
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), errc::unavailable);
  EXPECT_THAT(outcome.error().message(), HasSubstr("nobody knows"));
  EXPECT_EQ(*runs, 1);
  EXPECT_TRUE(add(*db, "cam-1")) << "the next one finds a new connection";
}

TEST_F(postgresql_test, closures_fail_at_once_while_the_database_is_out_of_reach_and_pass_when_it_is_back) {
  end_postgresql_connections(url, false);
  const auto out = add(*db, "cam-1");
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code(), errc::unavailable);
  const auto reached = db->reached_at();
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(add(*db, "cam-1"));
  EXPECT_EQ(db->reached_at(), reached);
  end_postgresql_connections(url, true);
  EXPECT_TRUE(until([&] { return add(*db, "cam-1").has_value(); }));
  EXPECT_GT(db->reached_at(), reached);
}

TEST_F(postgresql_test, two_that_deadlock_both_succeed) {
  auto other = open();
  ASSERT_TRUE(add(*db, "a"));
  ASSERT_TRUE(add(*db, "b"));
  std::promise<void> here, there;
  const auto crossing = [](std::string first, std::string second, std::promise<void>& mine,
                           std::promise<void>& theirs) {
    return [=, &mine, waits = theirs.get_future().share(), again = false](connection& c) mutable -> result<void> {
      CHECK(set_device_blocked(c, first, true));
      if (!std::exchange(again, true)) {
        mine.set_value();
        waits.wait();
      }
      return set_device_blocked(c, second, true);
    };
  };
  const auto [one, two] = both(*db, crossing("a", "b", here, there), *other, crossing("b", "a", there, here));
  EXPECT_TRUE(one) << one.error().message();
  EXPECT_TRUE(two) << two.error().message();
}

// ADR 0024: who has seen n has seen all before it.
TEST_F(postgresql_test, numbers_given_by_two_programs_become_visible_in_their_order) {
  auto other = open();
  constexpr int each = 300;
  int left = 0, begun = 0;
  const auto one = [&left](database& d, std::string id) -> io::task<void> {
    std::function<result<void>(connection&)> work = [id](connection& c) -> result<void> {
      c.at_end([id](connection& last) { return append_upload_event(last, id, "", "issued", "", 1); });
      return {};
    };
    const auto done = co_await d.run<void>(std::move(work));
    EXPECT_TRUE(done) << done.error().message();
    --left;
  };
  std::atomic<int> last = 0, looks = 0;  // the reader goes on to the last number, once that is known
  auto reader = std::async(std::launch::async, [&] {
    auto session = open_postgresql(postgresql_parameters(url).value()).value();
    for (std::int64_t seen = 0; last == 0 || seen < last; ++looks) {
      const auto found =
          session->query("SELECT count(*) AS n, coalesce(max(sequence), 0) AS newest FROM upload_events");
      EXPECT_EQ(found->at(0).integer("n"), found->at(0).integer("newest")) << "a number was seen before a lower one";
      seen = found->at(0).integer("newest");
    }
  });
  for (int rounds = 0; rounds < 50 && (looks <= 3 || begun == 0); ++rounds) {  // while the reader has looked too seldom
    left = 2 * each;
    for (int i = 0; i < each; ++i, begun += 2)
      for (auto* d : {db.get(), other.get()})
        io::asio::co_spawn(ctx, one(*d, fmt::format("g{}", begun)), [](std::exception_ptr e) { EXPECT_FALSE(e); });
    EXPECT_TRUE(until([&] { return left == 0; }));
  }
  last = begun;
  reader.get();
  EXPECT_GT(looks, 3);
}

TEST_F(postgresql_test, what_one_program_announces_the_others_hear_after_the_commit) {
  auto other = open();
  int heard = 0;
  EXPECT_TRUE(db->is_shared());
  other->set_on_announced([&] { ++heard; });
  ASSERT_TRUE(until([&] { return heard > 0; })) << "a new connection of the listener counts as an announcement";
  const int before = heard;
  const auto announce = [](connection& c) -> result<void> {
    c.at_end([](connection& last) { return last.announce(); });
    return {};
  };
  ASSERT_TRUE(in<void>(*db, announce));
  EXPECT_TRUE(until([&] { return heard == before + 1; }));
  end_postgresql_connections(url);
  EXPECT_TRUE(until([&] { return heard == before + 2; })) << "the listener is back, and may have missed some";
  ASSERT_TRUE(until([&] { return in<void>(*db, announce).has_value(); }));
  EXPECT_TRUE(until([&] { return heard == before + 3; }));
}

}  // namespace
}  // namespace evp::sql
