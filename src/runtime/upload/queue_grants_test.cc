// The durable queue's grants for later: what a restart without the hub finds, and what the journal shows of them.
#include "runtime/upload/test_queue.h"

namespace evp::runtime::upload {
namespace {

class queue_grants_test : public queue_test {
 protected:
  void SetUp() override {
    engine_limits_.transfers = 1;
    engine_limits_.asked_ahead = 1;
    engine_limits_.offline_grants = 30;
    make();
  }
  grant grant_of(const request_grant& r) {
    grant g;
    g.url = secret("https://storage/" + std::to_string(r.id));
    g.grant_id = "g" + std::to_string(r.id);
    g.offline = r.offline;
    g.expires_in = r.offline ? milliseconds(12h) : milliseconds(2min);
    g.expect = {201};
    return g;
  }
  void give_all() {
    for (auto asked = took<request_grant>(); !asked.empty(); asked = took<request_grant>())
      for (const auto& r : asked) step(event(grant_received{r.reqid, grant_of(r)}));
    commit_all();
  }
  void put(const start_transfer& t, int status = 201) {
    transfer_result r;
    r.status = status;
    r.bytes = 10;
    step(event(transfer_finished{t.id, t.attempt, r}));
    commit_all();
  }
  /// Sends whatever can be sent; gives the operations.
  std::vector<operation_id> put_all() {
    std::vector<operation_id> ids;
    for (auto now = took<start_transfer>(); !now.empty(); now = took<start_transfer>())
      for (const auto& t : now) {
        ids.push_back(t.id);
        put(t);
      }
    return ids;
  }
  void accept_many(int n) {
    for (int i = 0; i < n; ++i) accept(file(std::to_string(i)));
  }
  /// The first is being sent, the third has an ordinary grant, and the others have one for later.
  void five_files() {
    step(event(connected{}));
    accept_many(5);
    give_all();
    first_ = took<start_transfer>().at(0);
  }
  start_transfer first_;
};

class queue_create_only_test : public queue_test {
 protected:
  operation_id granted() {
    const auto id = accept(file());
    step(event(connected{}));
    grant g;
    g.url = secret("https://storage/o");
    g.grant_id = "g1";
    g.create_only = true;
    step(event(grant_received{took<request_grant>().at(0).reqid, g}));
    return id;
  }
};

TEST_F(queue_create_only_test, its_transfer_begins_when_that_is_durable_and_a_restart_has_the_hub_look_first) {
  granted();
  EXPECT_TRUE(took<start_transfer>().empty());
  ASSERT_TRUE(writing_ && write_.sync);
  commit();
  EXPECT_EQ(took<start_transfer>().size(), 1U);
  restart(durable_);
  step(event(connected{}));
  EXPECT_TRUE(took<request_grant>().empty());
  EXPECT_EQ(took<send_report>().at(0).result.status, 412);
}

TEST_F(queue_create_only_test, what_the_storage_then_said_takes_its_place) {
  granted();
  commit();
  const auto t = took<start_transfer>().at(0);
  transfer_result r;
  r.status = 201;
  r.bytes = 10;
  step(event(transfer_finished{t.id, t.attempt, r}));
  commit_all();
  restart(durable_);
  step(event(connected{}));
  EXPECT_EQ(took<send_report>().at(0).result.status, 201);
}

TEST_F(queue_create_only_test, another_try_on_the_same_grant_writes_nothing) {
  granted();
  commit();
  const auto t = took<start_transfer>().at(0);
  transfer_result r;
  r.status = 503;
  step(event(transfer_finished{t.id, t.attempt, r}));
  wait(1h);
  EXPECT_FALSE(writing_);
  EXPECT_EQ(took<start_transfer>().size(), 1U);
}

TEST_F(queue_create_only_test, a_disk_that_is_full_does_not_hold_it_up) {
  granted();
  fail_write();
  EXPECT_EQ(took<start_transfer>().size(), 1U);
}

TEST_F(queue_create_only_test, one_that_ends_before_it_began_never_begins) {
  granted();
  wait(limits_.deadline);
  commit_all();
  EXPECT_TRUE(took<start_transfer>().empty());
  EXPECT_EQ(took<tell>().at(0).outcome.error, ETIMEDOUT);
}

TEST_F(queue_grants_test, after_a_restart_without_the_hub_the_files_go_on_with_the_grants_that_were_kept) {
  five_files();
  restart(file_);
  const auto t = took<start_transfer>().at(0);
  EXPECT_EQ(t.id, 2U);
  EXPECT_EQ(t.grant.url, secret("https://storage/2"));
  EXPECT_EQ(t.grant.expect, std::vector{201});
  put(t);
  EXPECT_EQ(put_all(), (std::vector<operation_id>{4, 5}));
  EXPECT_TRUE(took<send_report>().empty());
  EXPECT_TRUE(took<tell>().empty());

  restart(file_);  // and once more, when all are there
  EXPECT_TRUE(took<start_transfer>().empty()) << "none is sent twice";
  step(event(connected{}));
  const auto reports = took<send_report>();
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_EQ(reports[0].grant_id, "g2");
  for (const auto& r : reports) step(event(report_answered{r.reqid, std::nullopt}));
  commit_all();
  EXPECT_EQ(queue_->live(), 2U) << "the others had ordinary grants";
}

TEST_F(queue_grants_test, the_journal_holds_no_url) {
  five_files();
  EXPECT_EQ(file_.find("https://"), file_.npos);
  EXPECT_EQ(file_.find("storage/2"), file_.npos);
  EXPECT_NE(file_.find("g2"), file_.npos) << "or nothing is kept at all";
}

TEST_F(queue_grants_test, a_grant_costs_no_sync) {
  step(event(connected{}));
  accept_many(2);
  const auto asked = took<request_grant>();
  ASSERT_EQ(asked.size(), 2U);
  step(event(grant_received{asked[1].reqid, grant_of(asked[1])}));
  ASSERT_TRUE(writing_);
  EXPECT_FALSE(write_.sync);
}

TEST_F(queue_grants_test, a_power_cut_may_lose_it_and_the_file_waits_for_the_hub) {
  five_files();
  restart(durable_);
  EXPECT_TRUE(put_all().empty());
  step(event(connected{}));
  EXPECT_FALSE(took<request_grant>().empty());
  EXPECT_EQ(queue_->live(), 5U);
}

TEST_F(queue_grants_test, time_that_passed_while_the_runtime_was_down_counts_for_it) {
  five_files();
  wall_ += 12h - 1min;
  restart(file_);
  EXPECT_EQ(took<start_transfer>().at(0).id, 2U);
  wait(1min);
  EXPECT_TRUE(took<start_transfer>().empty());
  wall_ += 2min;
  restart(file_);
  EXPECT_TRUE(took<start_transfer>().empty()) << "they are dead";
}

TEST_F(queue_grants_test, one_that_the_storage_refused_is_not_used_by_the_next_run) {
  five_files();
  step(event(disconnected{}));
  put(first_);
  const auto second = took<start_transfer>().at(0);
  EXPECT_EQ(second.id, 2U);
  put(second, 403);
  restart(file_);
  EXPECT_EQ(put_all(), (std::vector<operation_id>{4, 5}));
}

TEST_F(queue_grants_test, a_new_one_replaces_the_old_one) {
  five_files();
  step(event(disconnected{}));
  put(first_);
  put(took<start_transfer>().at(0), 403);
  step(event(connected{}));
  wait(1min);  // of back-off
  for (const auto& r : took<request_grant>()) {
    auto fresh = grant_of(r);
    fresh.url = secret("https://storage/fresh");
    step(event(grant_received{r.reqid, fresh}));
  }
  commit_all();
  restart(file_);
  for (auto now = took<start_transfer>(); !now.empty(); now = took<start_transfer>())
    for (const auto& t : now) {
      EXPECT_EQ(t.grant.url, secret(t.id == 2 ? "https://storage/fresh" : "https://storage/" + std::to_string(t.id)));
      put(t);
    }
}

TEST_F(queue_grants_test, they_are_in_a_journal_that_is_written_anew_and_gone_with_their_operation) {
  limits_.rewrite_bytes = 0;
  make();
  five_files();
  restart(file_);
  const auto sent = put_all();
  EXPECT_EQ(sent.size(), 3U);
  wait(limits_.deadline);
  commit_all();
  EXPECT_EQ(queue_->live(), 0U);
  EXPECT_EQ(file_.find("g2"), file_.npos) << "nothing is left of them";
}

TEST_F(queue_grants_test, grants_that_are_kept_do_not_make_the_journal_be_written_again_and_again) {
  limits_.rewrite_bytes = 256;
  make();
  five_files();
  int replaced = 0;
  for (int i = 0; i < 10; ++i) {
    offer(file("x" + std::to_string(i)));
    while (writing_) {
      replaced += write_.replace;
      commit();
    }
  }
  EXPECT_LE(replaced, 3);
}

TEST_F(queue_grants_test, one_of_another_operation_does_not_open_and_the_file_waits_for_the_hub) {
  five_files();
  std::string swapped;
  for (std::string_view left = file_; !left.empty();) {
    auto r = **journal::take_record(left);
    if (auto* k = std::get_if<journal::grant_kept>(&r); k && k->id == 2) k->sealed = "3" + k->sealed.substr(1);
    swapped += journal::encode(r);
  }
  restart(swapped);
  EXPECT_EQ(put_all(), (std::vector<operation_id>{4, 5}));
  EXPECT_EQ(queue_->live(), 5U);
}

TEST_F(queue_grants_test, a_storage_that_gives_them_has_room_in_the_engine_for_all_and_another_has_not) {
  limits_.active_per_storage = 4;
  engine_limits_.offline_grants = 6;
  make();
  step(event(connected{}));
  accept_many(20);
  EXPECT_EQ(queue_->storages().at(0).active, 4U) << "as long as nobody knows";
  give_all();
  EXPECT_EQ(queue_->storages().at(0).active, 10U);
}

TEST_F(queue_grants_test, outside_the_windows_a_kept_grant_waits_too) {
  limits_.windows = *schedule::parse("02:00-04:00");
  make();
  wall_ += 3h;
  five_files();
  wall_ += 4h;
  restart(file_);
  EXPECT_TRUE(took<start_transfer>().empty());
}

}  // namespace
}  // namespace evp::runtime::upload
