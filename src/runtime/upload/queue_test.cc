// The durable queue: what is durable before what is told, and what each restart finds.
#include <malloc.h>

#include "runtime/upload/test_queue.h"

namespace evp::runtime::upload {
namespace {

// ---- accepting ----

TEST_F(queue_test, an_operation_is_answered_only_when_it_is_durable) {
  offer(file());
  EXPECT_TRUE(took<answer>().empty());
  ASSERT_TRUE(writing_);
  EXPECT_TRUE(write_.sync);
  commit();
  const auto answers = took<answer>();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].asker.ticket, 1U);
  restart(durable_);
  EXPECT_EQ(queue_->live(), 1U);
  EXPECT_EQ(queue_->details(*answers[0].accepted)->remote_name, "f");
}

TEST_F(queue_test, what_comes_during_a_write_shares_the_next_one) {
  offer(file("0"));
  for (int i = 1; i < 10; ++i) offer(file(std::to_string(i)));
  commit();
  EXPECT_EQ(took<answer>().size(), 1U);
  commit();
  EXPECT_EQ(took<answer>().size(), 9U);
  EXPECT_FALSE(writing_);
}

TEST_F(queue_test, a_blob_from_memory_is_spooled_before_anything_is_written) {
  auto what = file();
  what.spooled = true;
  offer(what);
  EXPECT_FALSE(writing_);
  const auto id = took<prepare>().at(0).id;
  EXPECT_TRUE(queue_->needs_spooled(id));
  step(prepared{id, std::nullopt, std::string(32, 'h')});
  commit();
  EXPECT_TRUE(took<answer>().at(0).accepted);
  EXPECT_EQ(queue_->details(id)->sha256, std::string(32, 'h'));
  EXPECT_EQ(queue_->spooled_bytes(), 10U);
}

TEST_F(queue_test, a_blob_that_cannot_be_spooled_was_never_there) {
  auto what = file();
  what.spooled = true;
  offer(what);
  const auto id = took<prepare>().at(0).id;
  step(prepared{id, errno_error(ENOSPC, "spool"), {}});
  EXPECT_FALSE(took<answer>().at(0).accepted);
  EXPECT_EQ(took<drop_spooled>().size(), 1U);
  EXPECT_EQ(queue_->live(), 0U);
  EXPECT_EQ(queue_->spooled_bytes(), 0U);
  EXPECT_FALSE(writing_);
}

TEST_F(queue_test, a_failed_write_refuses_what_waited_for_it_and_the_next_one_holds_everything) {
  accept(file("old"));
  offer(file("a"));
  offer(file("b"));
  fail_write();
  const auto answers = took<answer>();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_FALSE(answers[0].accepted);
  offer(file("c"));
  EXPECT_EQ(took<answer>().at(0).accepted.error().code(), errc::unavailable);
  EXPECT_FALSE(writing_);
  wait(1s);
  ASSERT_TRUE(writing_) << "what may have reached the disk is written over";
  EXPECT_TRUE(write_.replace);
  commit();
  EXPECT_EQ(queue_->live(), 1U);
  accept(file("d"));
  restart(durable_);
  EXPECT_EQ(queue_->live(), 2U);
}

TEST_F(queue_test, an_idle_queue_writes_nothing_and_wants_no_wake_up_before_the_deadline) {
  accept(file());
  EXPECT_EQ(timer_, now_ + limits_.deadline);
  done_.clear();
  wait(1h);
  EXPECT_TRUE(done_.empty());
}

TEST_F(queue_test, nothing_is_written_after_the_last_outcome) {
  send(file());
  commit_all();
  confirm();
  commit_all();
  step(event(disconnected{}));
  done_.clear();
  wait(1min);
  EXPECT_TRUE(took<write>().empty());
}

// ---- outcomes ----

TEST_F(queue_test, a_confirmed_success_needs_no_sync_of_its_own) {
  const auto id = send(file());
  ASSERT_TRUE(writing_);
  EXPECT_TRUE(write_.sync) << "the report goes out beside this one";
  commit();
  confirm();
  const auto told = took<tell>();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].id, id);
  EXPECT_EQ(told[0].outcome.result, kind::success);
  ASSERT_TRUE(writing_);
  EXPECT_FALSE(write_.sync);
}

TEST_F(queue_test, a_success_that_comes_before_its_sent_record_is_durable_waits) {
  send(file());
  confirm();
  EXPECT_TRUE(took<tell>().empty());
  commit();  // the sent record
  EXPECT_TRUE(took<tell>().empty());
  commit();  // the outcome
  EXPECT_EQ(took<tell>().size(), 1U);
}

TEST_F(queue_test, after_a_power_cut_before_the_outcome_was_synced_only_the_report_is_made_again) {
  send(file());
  commit();
  confirm();
  EXPECT_EQ(took<tell>().size(), 1U);
  restart(durable_);
  EXPECT_EQ(queue_->live(), 1U);
  step(event(connected{}));
  EXPECT_TRUE(took<request_grant>().empty());
  confirm();
  commit_all();
  EXPECT_EQ(queue_->live(), 0U);
  EXPECT_TRUE(took<tell>().empty()) << "who asked does not live any more";
}

TEST_F(queue_test, a_failure_is_told_only_when_it_is_durable) {
  accept(file());
  step(event(connected{}));
  step(event(grant_failed{took<request_grant>().at(0).reqid, error(errc::not_found, "no such service")}));
  EXPECT_TRUE(took<tell>().empty());
  EXPECT_TRUE(writing_ && write_.sync);
  commit();
  EXPECT_EQ(took<tell>().at(0).outcome.error, EIO);
}

TEST_F(queue_test, an_outcome_waits_for_a_disk_that_is_full_and_is_told_once) {
  send(file(), "");  // a hub that wants no report
  fail_write();
  EXPECT_TRUE(took<tell>().empty());
  wait(1s);
  fail_write();
  wait(1s);
  EXPECT_FALSE(writing_) << "the waits grow";
  wait(1s);
  commit();
  EXPECT_EQ(took<tell>().size(), 1U);
  commit_all();
  EXPECT_EQ(queue_->live(), 0U);
}

TEST_F(queue_test, callbacks_of_an_ended_life_are_never_called) {
  send(file());
  commit();
  step(life_ended{1, "up"});
  confirm();
  commit_all();
  EXPECT_TRUE(took<tell>().empty());
  EXPECT_TRUE(took<tell_earlier>().empty());
  EXPECT_EQ(queue_->kept_outcomes(), 0U) << "a module that does not acknowledge has none to hear";
}

class acknowledging_test : public queue_test {
 protected:
  static journal::accepted kept_file(std::string name = "f") {
    auto a = file(std::move(name));
    a.acknowledges = true;
    return a;
  }
};

TEST_F(acknowledging_test, the_outcome_is_durable_before_it_is_told_and_kept_until_it_is_acknowledged) {
  const auto id = send(kept_file());
  commit();
  confirm();
  EXPECT_TRUE(took<tell>().empty());
  commit();
  EXPECT_EQ(took<tell>().size(), 1U);
  EXPECT_EQ(queue_->kept_outcomes(), 1U);
  step(acknowledged{"another", id});
  EXPECT_EQ(queue_->kept_outcomes(), 1U) << "only its own instance may acknowledge";
  step(acknowledged{"up", id});
  commit_all();
  EXPECT_EQ(queue_->kept_outcomes(), 0U);
  restart(file_);
  EXPECT_EQ(queue_->kept_outcomes(), 0U);
}

TEST_F(acknowledging_test, a_later_life_hears_what_the_earlier_one_did_not_acknowledge) {
  const auto id = send(kept_file("photo"));
  commit();
  confirm();
  commit();
  EXPECT_EQ(took<tell>().size(), 1U);
  step(life_ended{1, "up"});
  step(wants_outcomes{2, "up"});
  const auto heard = took<tell_earlier>();
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].life, 2U);
  EXPECT_EQ(heard[0].what.id, id);
  EXPECT_EQ(heard[0].what.remote_name, "photo");
  EXPECT_EQ(heard[0].outcome.result, journal::outcome_kind::success);
  step(wants_outcomes{2, "up"});
  EXPECT_TRUE(took<tell_earlier>().empty()) << "once in each life";
}

TEST_F(acknowledging_test, the_outcome_survives_a_restart_and_a_life_that_wants_it_hears_of_what_ends_later_too) {
  send(kept_file("one"));
  commit();
  confirm();
  commit_all();
  took<tell>();
  const auto second = accept(kept_file("two"));
  restart(durable_);
  EXPECT_EQ(queue_->kept_outcomes(), 1U);
  step(wants_outcomes{9, "up"});
  EXPECT_EQ(took<tell_earlier>().at(0).what.remote_name, "one");
  step(event(connected{}));
  step(event(grant_failed{took<request_grant>().at(0).reqid, error(errc::not_found, "no such service")}));
  commit();
  const auto heard = took<tell_earlier>();
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].what.id, second);
  EXPECT_EQ(heard[0].outcome.error, EIO);
}

TEST_F(acknowledging_test, outcomes_that_nobody_acknowledges_are_bounded_and_the_loss_is_counted) {
  limits_.kept_outcomes = 3;
  make();
  step(event(connected{}));
  for (int i = 0; i < 5; ++i) {
    accept(kept_file(std::to_string(i)));
    step(event(grant_failed{took<request_grant>().at(0).reqid, error(errc::not_found, "no")}));
    commit_all();
  }
  EXPECT_EQ(queue_->kept_outcomes(), 3U);
  EXPECT_EQ(queue_->counters().lost_outcomes, 2U);
}

// ---- deadlines ----

TEST_F(queue_test, what_waits_ends_at_its_deadline_although_the_hub_never_came) {
  accept(file());
  wait(limits_.deadline);
  commit();
  EXPECT_EQ(took<tell>().at(0).outcome.error, ETIMEDOUT);
  EXPECT_EQ(timer_, std::nullopt);
}

TEST_F(queue_test, time_that_passed_while_the_runtime_was_down_counts) {
  accept(file());
  wall_ += limits_.deadline - 1min;
  restart(durable_);
  EXPECT_EQ(timer_, now_ + 1min);
  wall_ += 2min;
  restart(durable_);
  step(event(tick{}));
  commit();
  EXPECT_EQ(queue_->live(), 0U);
}

TEST_F(queue_test, a_clock_that_goes_back_or_was_never_set_gives_the_full_time_and_not_more) {
  accept(file());
  wall_ -= 24h * 365;
  restart(durable_);
  EXPECT_EQ(timer_, now_ + limits_.deadline);
  wall_ = timestamp(1000s);
  accept(file("in 1970"));
  wall_ = timestamp(std::chrono::sys_days(std::chrono::year(2026) / 11 / 22));
  restart(durable_);
  EXPECT_EQ(queue_->live(), 2U);
}

// ---- bounds ----

TEST_F(queue_test, one_instance_cannot_fill_the_queue_for_the_others) {
  limits_.files_per_instance = 2;
  make();
  accept(file("1"));
  accept(file("2"));
  offer(file("3"));
  EXPECT_EQ(took<answer>().at(0).accepted.error().code(), errc::rate_limited);
  accept(file("4", "other"));
  EXPECT_EQ(queue_->counters().refused, 1U);
}

TEST_F(queue_test, a_full_queue_refuses_by_files_bytes_and_spooled_bytes) {
  limits_.files = 3;
  limits_.bytes = 100;
  limits_.spool_bytes = 15;
  make();
  auto big = file("big");
  big.size = 101;
  offer(big);
  EXPECT_EQ(took<answer>().at(0).accepted.error().code(), errc::too_large);
  auto spooled = file("s");
  spooled.spooled = true;
  offer(spooled);
  step(prepared{took<prepare>().at(0).id, std::nullopt, {}});
  commit();
  took<answer>();
  offer(spooled);
  EXPECT_EQ(took<answer>().at(0).accepted.error().code(), errc::rate_limited);
  big.size = 91;
  offer(big);
  EXPECT_EQ(took<answer>().at(0).accepted.error().code(), errc::rate_limited);
  accept(file("1"));
  accept(file("2"));
  offer(file("3"));
  EXPECT_EQ(took<answer>().at(0).accepted.error().code(), errc::rate_limited);
}

TEST_F(queue_test, the_oldest_goes_where_the_policy_says_so_and_its_module_hears_of_it) {
  limits_.files = 2;
  limits_.policy = when_full::drop_oldest;
  make();
  const auto first = accept(file("1"));
  accept(file("2"));
  offer(file("3"));
  commit_all();
  const auto told = took<tell>();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].id, first);
  EXPECT_EQ(told[0].outcome.error, ENOBUFS);
  EXPECT_TRUE(took<answer>().at(0).accepted);
  EXPECT_EQ(queue_->counters().dropped, 1U);
  EXPECT_EQ(queue_->live(), 2U);
}

TEST_F(queue_test, the_lowest_priority_goes_first_and_never_for_a_lower_one) {
  limits_.files = 2;
  limits_.policy = when_full::drop_lowest_priority;
  make();
  auto low = file("low"), high = file("high");
  low.priority = journal::priority::low;
  high.priority = journal::priority::high;
  accept(high);
  const auto victim = accept(low);
  offer(high);
  commit_all();
  EXPECT_EQ(took<tell>().at(0).id, victim);
  EXPECT_TRUE(took<answer>().at(0).accepted);
  offer(low);
  EXPECT_FALSE(took<answer>().at(0).accepted);
}

TEST_F(queue_test, nothing_is_dropped_where_it_would_not_make_enough_room) {
  limits_.bytes = 100;
  limits_.policy = when_full::drop_oldest;
  make();
  step(event(connected{}));
  auto active = file("active");
  active.size = 60;
  accept(active);
  limits_.files = 10;
  step(event(disconnected{}));
  accept(file("waiting"));
  auto big = file("big");
  big.size = 70;
  offer(big);
  EXPECT_FALSE(took<answer>().at(0).accepted);
  EXPECT_EQ(queue_->counters().dropped, 0U);
}

TEST_F(queue_test, only_so_many_operations_of_a_storage_are_in_the_engine_and_another_storage_is_not_held_up) {
  limits_.active_per_storage = 3;
  make();
  step(event(connected{}));
  for (int i = 0; i < 10; ++i) accept(file(std::to_string(i)));
  EXPECT_EQ(took<request_grant>().size(), 3U);
  auto other = file("o");
  other.named = true;
  other.storage = "other";
  accept(other);
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(queue_test, an_undeployed_instance_is_drained_when_its_last_operation_has_ended) {
  send(file());
  commit();
  EXPECT_TRUE(queue_->holds("up"));
  step(life_ended{1, "up"});
  EXPECT_TRUE(took<drained>().empty());
  confirm();
  commit_all();
  EXPECT_EQ(took<drained>().at(0).instance, "up");
  EXPECT_FALSE(queue_->holds("up"));
}

TEST_F(queue_test, the_modules_own_url_needs_no_hub_and_a_broken_one_is_einval) {
  auto own = file();
  own.own = "http://host/o";
  own.storage = "host";
  accept(own);
  EXPECT_EQ(took<start_transfer>().at(0).grant.url, secret("http://host/o"));
  own.own = "broken";
  accept(own);
  commit_all();
  EXPECT_EQ(took<tell>().at(0).outcome.error, EINVAL);
}

TEST_F(queue_test, a_journal_that_is_mostly_history_is_written_anew) {
  limits_.rewrite_bytes = 4096;
  make();
  accept(file("stays"));
  int replaced = 0;
  for (int i = 0; i < 200; ++i) {
    auto own = file("n" + std::to_string(i));
    own.own = "broken";
    offer(own);
    while (writing_) {
      replaced += write_.replace;
      commit();
    }
    ASSERT_LT(file_.size(), 3 * 4096U);
  }
  EXPECT_GT(replaced, 2);
  restart(durable_);
  EXPECT_EQ(queue_->live(), 1U);
  EXPECT_GT(accept(file("next")), 200U) << "an id is never used again";
}

TEST_F(queue_test, what_is_urgent_goes_first_and_what_has_waited_long_becomes_urgent) {
  limits_.active_per_storage = 1;
  make();
  const auto with = [](journal::priority p) {
    auto f = file();
    f.priority = p;
    return f;
  };
  const auto old_low = accept(with(journal::priority::low));
  wait(limits_.ageing + 1min);
  const auto low = accept(with(journal::priority::low)), normal = accept(with(journal::priority::normal)),
             high = accept(with(journal::priority::high));
  step(event(connected{}));
  std::vector<operation_id> order;
  for (int i = 0; i < 4; ++i) {
    const auto asked = took<request_grant>();
    ASSERT_EQ(asked.size(), 1U);
    order.push_back(asked[0].id);
    step(event(grant_failed{asked[0].reqid, error(errc::not_found, "no")}));
    commit_all();
  }
  EXPECT_EQ(order, (std::vector{high, old_low, normal, low}));
}

TEST_F(queue_test, outside_the_windows_and_on_a_metered_link_only_what_is_urgent_begins) {
  limits_.windows = *schedule::parse("02:00-04:00");
  make();
  step(event(connected{}));
  accept(file("normal"));
  auto urgent = file("urgent");
  urgent.priority = journal::priority::high;
  const auto id = accept(urgent);
  EXPECT_EQ(took<request_grant>().at(0).id, id);
  for (int i = 0; i < 12; ++i) wait(10min);
  EXPECT_EQ(took<request_grant>().back().id, id - 1) << "at two o'clock";
  limits_.windows = {};
  limits_.metered = true;
  make();
  step(event(connected{}));
  accept(file("normal"));
  EXPECT_TRUE(took<request_grant>().empty());
}

TEST_F(queue_test, after_an_outage_a_device_does_not_come_back_in_step_with_the_others) {
  step(event(connected{}));
  step(event(disconnected{}));
  accept(file());
  now_ += 1min;
  step(event(connected{}));
  EXPECT_TRUE(took<request_grant>().empty());
  ASSERT_TRUE(timer_);
  EXPECT_LE(*timer_, now_ + limits_.reconnect_jitter);
  wait(limits_.reconnect_jitter);
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(queue_test, ten_thousand_files_wait_in_300_bytes_each) {
  limits_.files_per_instance = 10'000;
  make();
  const auto before = ::mallinfo2().uordblks;
  for (int i = 0; i < 10'000; ++i) {
    offer(file("2026/11/22/front-door-" + std::to_string(100'000 + i) + ".jpg"));
    if (i % 100 == 99) {
      commit_all();
      done_.clear();
    }
  }
  commit_all();
  done_.clear();
  file_ = durable_ = {};
  write_ = {};
  done_.shrink_to_fit();
  const auto each = (::mallinfo2().uordblks - before) / 10'000;
  RecordProperty("bytes_per_queued_file", int(each));
  std::printf("%zu bytes each\n", std::size_t(each));
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LE(each, 300U);
#endif
  EXPECT_EQ(queue_->live(), 10'000U);
}

}  // namespace
}  // namespace evp::runtime::upload
