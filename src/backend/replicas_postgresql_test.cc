// Two backends on one PostgreSQL: what they tell each other, and who does what one does for both.
#include "backend/test_replicas.h"
#include "sql/connection.h"
#include "sql/provider_changes_store.h"

namespace evp::backend {
namespace {

using testing::Contains;
using testing::HasSubstr;

struct replicas_on_postgresql : two_backends {
  void SetUp() override { open_both(sql::new_postgresql_database()); }
  void expect_a_refusal(const std::function<bool(sql::session&)>& across) {
    const auto answer = ask_across(*b_, "cam-1", across);
    ASSERT_TRUE(answer.failure);
    EXPECT_EQ(answer.failure->code(), errc::permission_denied);
    EXPECT_TRUE(run(b_->ledger.list({}, {})).value().items.empty());
  }
};

TEST_F(replicas_on_postgresql, what_one_changes_the_other_hears_of) {
  ASSERT_TRUE(run(b_->devices.create("cam-2")));
  EXPECT_TRUE(until([&] { return other_->devices.check_active("cam-2").has_value(); }));
  gateway_.calls.clear();
  ASSERT_TRUE(run(block_device(*b_, "cam-2")));
  EXPECT_TRUE(until([&] { return !other_->devices.check_active("cam-2"); }));
  EXPECT_TRUE(until([&] { return std::count(gateway_.calls.begin(), gateway_.calls.end(), "kick cam-2") == 2; }))
      << "each has told its broker";
  ASSERT_TRUE(run(b_->devices.unblock("cam-2")));
  EXPECT_TRUE(until([&] { return other_->devices.check_active("cam-2").has_value(); }));
  ASSERT_TRUE(run(b_->remove_device("cam-2")));
  EXPECT_TRUE(until([&] { return !other_->devices.exists("cam-2"); }));

  const auto key = run(b_->access.create_key("", "ci", role::viewer, std::nullopt)).value();
  EXPECT_TRUE(until([&] { return other_->access.authenticate(key.text.reveal()).has_value(); }));
  ASSERT_TRUE(run(b_->access.remove_key("", key.key.id)));
  EXPECT_TRUE(until([&] { return !other_->access.authenticate(key.text.reveal()); }));

  ASSERT_TRUE(run(b_->services.create(input("archive"))));
  EXPECT_TRUE(until([&] { return other_->services.get("archive").has_value(); }));
  ASSERT_TRUE(run(b_->services.remove("archive")));
  EXPECT_TRUE(until([&] { return !other_->services.get("archive"); }));

  hook_input hook;
  hook.url = "https://hooks.example/told";
  hook.key = secret(std::string(32, 'k'));
  ASSERT_TRUE(run(b_->hooks.put("erp", hook)));
  EXPECT_TRUE(until([&] { return other_->hooks.find("erp") != nullptr; }));
  ASSERT_TRUE(run(b_->hooks.remove("erp")));
  EXPECT_TRUE(until([&] { return other_->hooks.find("erp") == nullptr; }));

  auto upload = b_->modules.begin("module-1").value();
  ASSERT_TRUE(run(upload->write("bytes")));
  ASSERT_TRUE(run(upload->finish()));
  EXPECT_TRUE(until([&] { return other_->modules.get("module-1").has_value(); }));
}

TEST_F(replicas_on_postgresql, one_that_has_missed_more_changes_than_are_kept_reads_everything) {
  ASSERT_TRUE(outside()->execute("UPDATE devices SET blocked = 1"));
  ASSERT_TRUE(outside()->execute("UPDATE change_sequence SET newest = newest + 100"));
  EXPECT_TRUE(until([&] { return !other_->devices.check_active("cam-1") && !b_->devices.check_active("cam-1"); }));
}

TEST_F(replicas_on_postgresql, a_grant_waits_for_a_block_that_is_being_committed_and_loses) {
  expect_a_refusal(
      [](sql::session& s) { return s.execute("UPDATE devices SET blocked = 1 WHERE id = 'cam-1'").has_value(); });
}

TEST_F(replicas_on_postgresql, without_the_database_grants_are_refused_at_once_and_all_is_read_anew_when_it_is_back) {
  ASSERT_FALSE(issue(*b_, ask("1")).failure);
  sql::end_postgresql_connections(database_url_, false);
  ASSERT_TRUE(until([&] { return !b_->ledger.check_reachable(); }));
  auto fastest = std::chrono::steady_clock::duration::max();  // of some: a machine that stands still delays one
  for (int i = 0; i < 5; ++i) {
    const auto began = std::chrono::steady_clock::now();
    const auto refused = issue(*b_, ask("2"));
    fastest = std::min(fastest, std::chrono::steady_clock::now() - began);
    ASSERT_TRUE(refused.failure);
    EXPECT_EQ(refused.failure->code(), errc::unavailable);
    EXPECT_TRUE(refused.failure->retry_after());
  }
  EXPECT_LT(fastest, milliseconds(500));

  sql::end_postgresql_connections(database_url_, true);
  ASSERT_TRUE(outside()->execute("UPDATE devices SET blocked = 1"))
      << "as a restored backup may have it: not announced";
  EXPECT_TRUE(until([&] { return b_->ledger.check_reachable() && !b_->devices.check_active("cam-1"); }));
  EXPECT_TRUE(until([&] { return !other_->devices.check_active("cam-1"); }));
}

TEST_F(replicas_on_postgresql, one_leads_and_the_other_takes_over_when_it_stops) {
  ASSERT_TRUE(until([&] { return b_->leads() || other_->leads(); }));
  EXPECT_NE(b_->leads(), other_->leads());
  if (other_->leads()) std::swap(b_, other_);
  close();
  EXPECT_TRUE(until([&] { return other_->leads(); }));
}

TEST_F(replicas_on_postgresql, one_that_hangs_stops_leading_before_another_begins) {
  io::manual_clock one_time{timestamp(seconds(1))};
  auto url = sql::new_postgresql_database();
  const auto db_a = sql::database::open(ctx_.get_executor(), url).value();
  const auto db_b = sql::database::open(ctx_.get_executor(), url).value();
  const auto nothing = [] {};
  replica a(replica_context{*db_a, one_time, nothing, nothing}), b(replica_context{*db_b, one_time, nothing, nothing});
  for (auto* r : {&a, &b})
    r->set_take_over([](auto) -> io::task<result<void>> { co_return result<void>(); },
                     []() -> io::task<result<void>> { co_return result<void>(); });
  io::group of_a(ctx_.get_executor()), of_b(ctx_.get_executor());
  of_a.spawn(a.run_forever());
  ASSERT_TRUE(until([&] { return a.leads(); }));
  of_b.spawn(b.run_forever());
  const auto stop = [](io::group& g) -> io::task<bool> {
    co_await g.stop();
    co_return true;
  };
  run(stop(of_a));  // and does not give its lease back
  EXPECT_TRUE(a.leads());
  one_time.advance(replica::leads_for);
  EXPECT_FALSE(a.leads());
  EXPECT_FALSE(b.leads());
  ASSERT_TRUE(until([&] { return one_time.advance(milliseconds(10)), b.leads(); }));
  run(stop(of_b));
}

TEST_F(replicas_on_postgresql, a_finished_upload_is_delivered_once_whoever_has_settled_it) {
  network_.answer = [](const http::request&) -> io::task<result<http::response>> {
    http::response ok;
    ok.status = 200;
    co_return ok;
  };
  hook_input hook;
  hook.url = "https://hooks.example/told";
  hook.key = secret(std::string(32, 'k'));
  ASSERT_TRUE(run(b_->hooks.put("erp", hook)));
  ASSERT_TRUE(until([&] { return other_->hooks.find("erp") != nullptr && b_->leads() != other_->leads(); }));
  for (auto* by : {b_.get(), other_.get()}) {
    auto u = new_upload();
    ASSERT_TRUE(run(by->ledger.issue(u)).value());
    ASSERT_TRUE(run(by->ledger.settle({.grant_id = u.grant_id, .state = upload_state::verified})).value());
  }
  EXPECT_TRUE(until([&] { return run(b_->hooks.get("erp"))->delivered == 2; }));
  EXPECT_EQ(network_.sent.size(), 2u);
}

TEST_F(replicas_on_postgresql, both_settle_an_upload_and_it_ends_once) {
  const auto u = new_upload();
  ASSERT_TRUE(run(b_->ledger.issue(u)).value());
  int left = 2;
  const auto settle = [&](backend& by) -> io::task<void> {
    upload_outcome o{.grant_id = u.grant_id, .state = upload_state::expired};
    EXPECT_TRUE(co_await by.ledger.settle(std::move(o)));
    --left;
  };
  io::asio::co_spawn(ctx_, settle(*b_), [](std::exception_ptr e) { EXPECT_FALSE(e); });
  io::asio::co_spawn(ctx_, settle(*other_), [](std::exception_ptr e) { EXPECT_FALSE(e); });
  ASSERT_TRUE(until([&] { return left == 0; }));
  EXPECT_EQ(run(b_->ledger.events({}, 0))->events.size(), 2u) << "issued, expired";
}

TEST_F(replicas_on_postgresql, a_grant_waits_for_the_block_of_a_storage_that_is_being_committed_and_loses) {
  expect_a_refusal([](sql::session& s) {
    const auto made = sql::insert_block(s, {"service", "default", "", 1, "x"}, 10);
    return made && *made;
  });
}

// Two transactions that grant overlap for ever: one that wants their rows alone would never have its turn.
TEST_F(replicas_on_postgresql, a_block_comes_in_its_turn_however_many_grants_overlap) {
  const auto id = b_->services.get("default")->id;
  sql::upload_row row;
  row.service_id = id;
  row.service_revision = 1;
  const auto hold = [&](sql::connection& c) { return sql::may_sign(c, row, {id, 0}, {}); };
  std::unique_ptr<sql::session> granting[] = {outside(), outside()};
  for (const auto& one : granting) {
    ASSERT_TRUE(one->execute("SET idle_in_transaction_session_timeout = 0"));
    ASSERT_TRUE(one->execute("SET lock_timeout = 200"));
  }
  ASSERT_TRUE(granting[0]->begin());
  ASSERT_TRUE(*hold(*granting[0]));
  std::optional<result<block_report>> report;
  io::asio::co_spawn(ctx_, block_it(*b_, {block_kind::service, "default", ""}),
                     [&](std::exception_ptr, result<block_report> r) { report = std::move(r); });
  const auto watching = outside();
  ASSERT_TRUE(until([&] { return somebody_waits(*watching); }));
  ASSERT_TRUE(granting[1]->begin());
  EXPECT_FALSE(hold(*granting[1])) << "it has come after the block";
  granting[1]->rollback();
  EXPECT_FALSE(report);
  ASSERT_TRUE(granting[0]->commit());
  ASSERT_TRUE(until([&] { return report.has_value(); }));
  EXPECT_TRUE(*report);
  EXPECT_EQ(**hold(*granting[1]), 1);
}

TEST_F(replicas_on_postgresql, a_block_is_heard_of_and_a_roll_call_is_answered) {
  std::optional<result<blocked_device_report>> drill;
  const auto ask_all = [&] {
    drill.reset();
    io::asio::co_spawn(ctx_, block_device(*b_, "cam-1", {true}),
                       [&](std::exception_ptr, result<blocked_device_report> r) { drill = std::move(r); });
    return until([&] { return drill.has_value(); }) && drill->has_value() && (*drill)->rest.replicas.size() == 2;
  };
  ASSERT_TRUE(until(ask_all)) << "the other has shown that it lives";
  const auto replicas = (*drill)->rest.replicas;
  EXPECT_TRUE(replicas[0].is_this);
  EXPECT_FALSE(replicas[1].is_this);
  EXPECT_TRUE(replicas[0].within);
  EXPECT_TRUE(replicas[1].within);
  EXPECT_TRUE(replicas[1].broker);
  EXPECT_FALSE((*drill)->change.device.blocked);
  EXPECT_EQ(outside()->query("SELECT count(*) AS n FROM roll_calls")->at(0).integer("n"), 0);

  const block storage{block_kind::service, "default", ""};
  ASSERT_TRUE(run(block_it(*b_, storage)));
  EXPECT_TRUE(until([&] { return other_->blocks.has(storage); }));
  ASSERT_TRUE(run(unblock_it(*b_, storage)));
  EXPECT_TRUE(until([&] { return !other_->blocks.has(storage); }));
}

}  // namespace
}  // namespace evp::backend
