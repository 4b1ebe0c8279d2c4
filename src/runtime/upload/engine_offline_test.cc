// The engine's grants for later: asked for while the hub is there, used while it is not, and never in the way of
// others.
#include "runtime/upload/test_engine.h"

namespace evp::runtime::upload {
namespace {

class engine_offline_test : public engine_test {
 protected:
  static limits bounds() {
    limits l;
    l.transfers = 2;
    l.asked_ahead = 3;
    l.offline_grants = 4;
    return l;
  }
  explicit engine_offline_test(limits l = bounds()) : engine_test(l) {}

  static grant grant_of(const request_grant& r, milliseconds lives = 24h) {
    auto g = some_grant("g" + std::to_string(r.reqid));
    g.url = secret("https://storage/" + std::to_string(r.id));
    g.offline = r.offline;
    g.expires_in = r.offline ? lives : milliseconds(2min);
    return g;
  }
  void give(const request_grant& r) { step(grant_received{r.reqid, grant_of(r)}); }
  /// Answers requests until none is left; gives those for later.
  std::vector<operation_id> give_all() {
    std::vector<operation_id> later;
    for (auto asked = took<request_grant>(); !asked.empty(); asked = took<request_grant>())
      for (const auto& r : asked) {
        if (r.offline) later.push_back(r.id);
        give(r);
      }
    return later;
  }
  std::vector<request_grant> offline_requests() {
    auto all = took<request_grant>();
    std::erase_if(all, [](const auto& r) { return !r.offline; });
    return all;
  }
  void submit_many(int n) {
    for (int i = 0; i < n; ++i) submit();
  }
  /// Two transfers run, three grants wait for their turn, and these four have one for later.
  std::vector<operation_id> many_files() {
    step(connected{});
    submit_many(14);
    auto later = give_all();
    running_ = took<start_transfer>();
    return later;
  }
  std::vector<start_transfer> running_;
};

TEST_F(engine_offline_test, who_waits_beyond_those_asked_for_anyway_gets_one_when_one_of_them_has_found_out) {
  step(connected{});
  submit_many(10);
  auto first = took<request_grant>();
  ASSERT_EQ(first.size(), 4U);
  EXPECT_EQ(std::count_if(first.begin(), first.end(), [](const auto& r) { return r.offline; }), 1);
  EXPECT_EQ(first[3].id, 4U);
  EXPECT_TRUE(first[3].offline);
  EXPECT_FALSE(engine_.gives_offline(""));
  give(first[3]);
  EXPECT_TRUE(engine_.gives_offline(""));
  const auto more = took<request_grant>();
  ASSERT_EQ(more.size(), 3U) << "four in all";
  for (const auto& r : more) EXPECT_TRUE(r.offline);
}

TEST_F(engine_offline_test, they_go_on_without_the_hub_and_wait_for_it_with_their_reports) {
  const auto later = many_files();
  ASSERT_EQ(later.size(), 4U);
  const auto noted = took<note_grant>();
  ASSERT_EQ(noted.size(), 4U);
  EXPECT_TRUE(noted[0].grant.offline);
  step(disconnected{});
  std::set<operation_id> arrived;
  for (auto now = std::move(running_); !now.empty(); now = took<start_transfer>())
    for (const auto& t : now) {
      arrived.insert(t.id);
      answer(t, 201);
    }
  EXPECT_EQ(arrived.size(), 5U + 4U) << "what had a grant, and nothing else";
  for (const auto id : later) EXPECT_TRUE(arrived.contains(id) && open(id));
  EXPECT_EQ(took<note_sent>().size(), 9U) << "they survive a restart before the hub is back";
  EXPECT_TRUE(took<send_report>().empty());
  step(connected{});
  const auto reports = took<send_report>();
  EXPECT_EQ(reports.size(), 9U);
  for (const auto& r : reports) step(report_answered{r.reqid, std::nullopt});
  for (const auto id : later) EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
}

TEST_F(engine_offline_test, when_one_is_used_the_next_file_gets_one) {
  many_files();
  answer(running_.at(0), 200);  // the third one begins
  took<start_transfer>();
  EXPECT_TRUE(offline_requests().empty()) << "four are held";
  answer(running_.at(1), 200);
  const auto fourth = took<start_transfer>().at(0);
  EXPECT_TRUE(fourth.grant.offline);
  EXPECT_TRUE(offline_requests().empty()) << "it may be needed again";
  answer(fourth, 200);
  EXPECT_EQ(offline_requests().size(), 1U);
}

TEST_F(engine_offline_test, a_storage_that_gives_none_is_left_alone_for_a_good_while_and_the_files_go_as_always) {
  step(connected{});
  submit_many(10);
  auto asked = took<request_grant>();
  step(grant_failed{asked.at(3).reqid, error(errc::unsupported, "no offline grants")});
  EXPECT_TRUE(took<request_grant>().empty());
  for (int i = 0; i < 3; ++i) give(asked[std::size_t(i)]);
  answer(took<start_transfer>().at(0), 200);
  const auto next = took<request_grant>();
  ASSERT_EQ(next.size(), 3U);
  EXPECT_EQ(next[0].id, 4U) << "the one that was refused, in its turn";
  for (const auto& r : next) EXPECT_FALSE(r.offline);
  step(grant_failed{next[0].reqid, error(errc::not_found, "no such storage")});
  EXPECT_EQ(outcome(4).error, 5) << "only a refusal of an ordinary one is final";
  now_ += bounds().offline_pause;
  submit();
  EXPECT_EQ(offline_requests().size(), 1U);
}

TEST_F(engine_offline_test, another_hub_is_asked_at_once) {
  step(connected{});
  submit_many(5);
  step(grant_failed{took<request_grant>().at(3).reqid, error(errc::unsupported, "none")});
  step(disconnected{});
  step(connected{});
  EXPECT_EQ(offline_requests().size(), 1U);
}

TEST_F(engine_offline_test, a_hub_that_does_not_know_of_them_grants_as_always_and_is_understood) {
  step(connected{});
  submit_many(10);
  const auto asked = took<request_grant>();
  auto ordinary = grant_of(asked.at(3));
  ordinary.offline = false;
  ordinary.expires_in = 2min;
  step(grant_received{asked[3].reqid, ordinary});
  EXPECT_EQ(took<start_transfer>().at(0).id, 4U);
  EXPECT_TRUE(offline_requests().empty());
  EXPECT_FALSE(engine_.gives_offline(""));
  EXPECT_TRUE(took<note_grant>().empty());
}

TEST_F(engine_offline_test, what_nobody_asked_to_keep_or_cannot_be_kept_is_not_kept) {
  step(connected{});
  submit_many(5);
  const auto asked = took<request_grant>();
  auto forced = grant_of(asked.at(0));
  forced.offline = true;
  step(grant_received{asked[0].reqid, forced});
  auto immortal = grant_of(asked.at(3));
  immortal.expires_in.reset();
  step(grant_received{asked[3].reqid, immortal});
  EXPECT_TRUE(took<note_grant>().empty());
  EXPECT_EQ(took<start_transfer>().size(), 2U) << "they are good grants all the same";
}

TEST_F(engine_offline_test, a_refusal_for_now_ends_the_asking_for_so_long) {
  step(connected{});
  submit_many(6);
  const auto asked = took<request_grant>();
  give(asked.at(3));
  const auto more = took<request_grant>();
  ASSERT_EQ(more.size(), 2U);
  step(grant_failed{more[0].reqid, error(errc::rate_limited, "as many as it may have").after(2min)});
  give(more[1]);
  wait(119s);
  EXPECT_TRUE(offline_requests().empty());
  EXPECT_TRUE(engine_.gives_offline(""));
  wait(1s);
  const auto again = offline_requests();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].id, more[0].id);
}

TEST_F(engine_offline_test, a_file_that_goes_without_one_does_not_stop_the_others) {
  step(connected{});
  submit_many(10);
  give(took<request_grant>().at(3));
  const auto more = took<request_grant>();
  step(grant_failed{more.at(0).reqid, error(errc::too_large, "goes in parts")});
  const auto instead = took<request_grant>();
  ASSERT_EQ(instead.size(), 1U);
  EXPECT_EQ(instead[0].id, 8U);
  EXPECT_TRUE(instead[0].offline);
  EXPECT_TRUE(open(more[0].id));
}

TEST_F(engine_offline_test, a_plan_is_no_grant_for_later) {
  step(connected{});
  submit_many(4);
  const auto asked = took<request_grant>();
  grant g;
  g.grant_id = "g";
  g.offline = true;
  g.expires_in = 24h;
  g.plan.emplace();
  g.plan->part_bytes = 100;
  g.plan->parts.emplace_back();
  g.plan->parts[0].url = secret("https://storage/part");
  step(grant_received{asked.at(3).reqid, g});
  EXPECT_TRUE(took<note_grant>().empty());
  EXPECT_EQ(took<start_transfer>().at(0).part->number, 1U);
}

TEST_F(engine_offline_test, its_certificate_is_fetched_when_it_comes) {
  step(connected{});
  submit_many(4);
  const auto asked = took<request_grant>();
  for (int i = 0; i < 2; ++i) give(asked.at(std::size_t(i)));
  auto g = grant_of(asked.at(3));
  g.certificate_id = "sha256:aa";
  step(grant_received{asked[3].reqid, g});
  EXPECT_EQ(took<request_certificate>().size(), 1U) << "although every place is taken";
  step(certificate_received{"sha256:aa"});
  step(disconnected{});
  for (const auto& t : took<start_transfer>()) answer(t, 200);
  EXPECT_EQ(took<start_transfer>().at(0).id, 4U);
}

TEST_F(engine_offline_test, one_that_dies_in_the_queue_is_let_go_and_asked_for_anew) {
  step(connected{});
  submit_many(4);
  const auto asked = took<request_grant>();
  for (int i = 0; i < 2; ++i) give(asked.at(std::size_t(i)));
  step(grant_received{asked.at(3).reqid, grant_of(asked[3], 1min)});
  wait(2min);
  EXPECT_TRUE(took<drop_grant>().empty()) << "it is noticed in its turn";
  took<request_grant>();
  step(grant_failed{asked[2].reqid, error(errc::not_found, "no")});
  answer(took<start_transfer>().at(0), 200);
  EXPECT_EQ(took<drop_grant>().at(0).id, 4U);
  const auto again = took<request_grant>();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_TRUE(again[0].offline);
}

class engine_one_file_test : public engine_offline_test {
 protected:
  /// A file that holds a grant for later, because it asked anew.
  start_transfer with_grant_for_later() {
    step(connected{});
    submit();
    auto r = took<request_grant>().at(0);
    EXPECT_FALSE(r.offline) << "at first it asks as always";
    give(r);
    fail_until_abandoned(took<start_transfer>().at(0));
    r = took<request_grant>().at(0);
    EXPECT_TRUE(r.offline);
    give(r);
    took<send_report>();
    return took<start_transfer>().at(0);
  }
  void fail_until_abandoned(start_transfer t) {
    for (unsigned i = 0; i < retry_policy{}.tries_per_grant; ++i) {
      answer(t, 503);
      wait(1min);  // less than its grant lives
      const auto again = took<start_transfer>();
      if (!again.empty()) t = again[0];
    }
    wait(2min);
  }
};

TEST_F(engine_one_file_test, after_failures_of_its_storage_it_asks_for_one_and_keeps_it_while_the_hub_is_away) {
  auto t = with_grant_for_later();
  step(disconnected{});
  for (int i = 0; i < 20; ++i) {
    answer(t, 503);
    wait(11min);  // longer than any wait of the retries and the breaker
    t = took<start_transfer>().at(0);
    EXPECT_EQ(t.grant.url, secret("https://storage/1"));
  }
  EXPECT_TRUE(took<drop_grant>().empty());
  answer(t, 201);
  step(connected{});
  step(report_answered{took<send_report>().at(0).reqid, std::nullopt});
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::success);
}

TEST_F(engine_one_file_test, a_403_lets_it_go) {
  const auto t = with_grant_for_later();
  step(disconnected{});
  answer(t, 403);
  EXPECT_EQ(took<drop_grant>().at(0).id, t.id);
  wait(1h);
  EXPECT_TRUE(took<start_transfer>().empty());
  step(connected{});
  EXPECT_TRUE(took<request_grant>().at(0).offline);
}

class engine_kept_test : public engine_offline_test {
 protected:
  operation_id submit_kept(milliseconds lives = 1h, std::string certificate = {}) {
    order o;
    o.deadline = now_ + 24h;
    o.kept = some_grant("g1", std::move(certificate));
    o.kept->expires_in = lives;
    step(submitted{++last_, std::move(o)});
    return last_;
  }
};

TEST_F(engine_kept_test, a_grant_of_an_earlier_run_is_used_without_the_hub) {
  const auto id = submit_kept();
  const auto t = took<start_transfer>().at(0);
  EXPECT_EQ(t.grant.grant_id, "g1");
  answer(t, 201);
  EXPECT_EQ(took<note_sent>().at(0).grant_id, "g1");
  EXPECT_TRUE(open(id));
  step(connected{});
  EXPECT_TRUE(took<request_grant>().empty());
  step(report_answered{took<send_report>().at(0).reqid, std::nullopt});
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
}

TEST_F(engine_kept_test, one_that_dies_before_its_turn_is_let_go) {
  submit_kept();
  submit_kept();
  submit_kept(1min);
  wait(2min);
  answer(took<start_transfer>().at(0), 200);
  EXPECT_EQ(took<drop_grant>().at(0).id, 3U);
  step(connected{});
  EXPECT_EQ(took<request_grant>().at(0).id, 3U);
}

TEST_F(engine_kept_test, one_without_its_certificate_waits_for_the_hub) {
  submit_kept(1h, "sha256:aa");
  EXPECT_TRUE(took<start_transfer>().empty());
  step(connected{});
  EXPECT_EQ(took<request_certificate>().size(), 1U);
  step(certificate_received{"sha256:aa"});
  EXPECT_EQ(took<start_transfer>().size(), 1U);
}

TEST_F(engine_kept_test, an_object_that_is_there_already_may_be_what_the_earlier_run_sent) {
  const auto id = submit_kept();
  step(connected{});
  answer(took<start_transfer>().at(0), 412);
  const auto report = took<send_report>().at(0);
  EXPECT_TRUE(report.done);
  EXPECT_EQ(report.result.status, 412);
  step(report_answered{report.reqid, std::nullopt});
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
}

TEST_F(engine_kept_test, if_the_hub_was_told_that_it_was_given_up_the_file_goes_again) {
  const auto id = submit_kept();
  step(connected{});
  answer(took<start_transfer>().at(0), 201);
  step(report_answered{took<send_report>().at(0).reqid, error(errc::data_corrupt, "given up by the device")});
  EXPECT_TRUE(open(id));
  EXPECT_EQ(took<drop_grant>().at(0).id, id);
  give(took<request_grant>().at(0));
  answer(took<start_transfer>().at(0), 201);
  const auto second = took<send_report>().at(0);
  EXPECT_NE(second.grant_id, "g1");
  step(report_answered{second.reqid, error(errc::data_corrupt, "other bytes")});
  EXPECT_EQ(outcome(id).error, 5) << "and once only";
}

TEST_F(engine_kept_test, counts_towards_the_bound) {
  for (int i = 0; i < 4; ++i) submit_kept();
  step(connected{});
  submit_many(10);
  EXPECT_TRUE(offline_requests().empty());
}

class engine_without_offline_test : public engine_offline_test {
 protected:
  static limits none() {
    auto l = bounds();
    l.offline_grants = 0;
    return l;
  }
  engine_without_offline_test() : engine_offline_test(none()) {}
};

TEST_F(engine_without_offline_test, nothing_is_asked_for_later) {
  step(connected{});
  submit_many(10);
  EXPECT_EQ(took<request_grant>().size(), 3U);
}

}  // namespace
}  // namespace evp::runtime::upload
