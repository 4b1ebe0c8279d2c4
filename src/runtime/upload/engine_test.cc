// The upload engine, stage by stage and event by event, in invented time.
#include <cerrno>

#include "runtime/upload/test_engine.h"

namespace evp::runtime::upload {
namespace {

// ---- the hub's part ----

TEST_F(engine_test, an_upload_without_report_ends_with_the_storages_success) {
  const auto t = to_transfer();
  EXPECT_EQ(t.grant.url, secret("https://storage/object?signature"));
  answer(t, 201);
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::success);
  EXPECT_EQ(outcome(t.id).http_status, 201U);
  EXPECT_EQ(engine_.live(), 0U);
  EXPECT_EQ(timer_, std::nullopt) << "nothing to wait for: no wake-up when idle";
}

TEST_F(engine_test, nothing_is_asked_while_the_hub_is_away) {
  submit();
  wait(1h);
  EXPECT_TRUE(took<request_grant>().empty());
  step(connected{});
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(engine_test, an_own_url_needs_no_hub) {
  const auto id = submit_own_url();
  const auto started = took<start_transfer>();
  ASSERT_EQ(started.size(), 1U);
  answer(started[0], 200);
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
  EXPECT_TRUE(took<request_grant>().empty());
}

TEST_F(engine_test, a_request_without_answer_is_sent_again_with_the_same_id_after_a_second) {
  step(connected{});
  submit();
  const auto first = took<request_grant>();
  wait(999ms);
  EXPECT_TRUE(took<request_grant>().empty());
  wait(1ms);
  const auto second = took<request_grant>();
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].reqid, first.at(0).reqid);
}

TEST_F(engine_test, after_some_sends_it_backs_off_and_asks_with_a_new_id) {
  step(connected{});
  submit();
  const auto first = took<request_grant>().at(0).reqid;
  std::set<std::uint64_t> ids;
  for (int i = 0; i < 400; ++i) {
    wait(100ms);
    for (const auto& r : took<request_grant>()) ids.insert(r.reqid);
  }
  EXPECT_TRUE(ids.contains(first));
  EXPECT_GT(ids.size(), 1U);
  EXPECT_LT(ids.size(), 5U);
  EXPECT_TRUE(open(last_));
}

TEST_F(engine_test, a_reconnect_sends_open_requests_again_and_an_outage_sends_none) {
  step(connected{});
  submit();
  const auto first = took<request_grant>().at(0).reqid;
  step(disconnected{});
  wait(10min);
  EXPECT_TRUE(took<request_grant>().empty());
  step(connected{});
  EXPECT_EQ(took<request_grant>().at(0).reqid, first);
}

TEST_F(engine_test, a_refusal_of_the_hub_is_eio_at_once) {
  step(connected{});
  const auto id = submit();
  step(grant_failed{took<request_grant>().at(0).reqid, error(errc::not_found, "no such storage")});
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::error);
  EXPECT_EQ(outcome(id).error, 5);
  EXPECT_THAT(finished_[id][0].message, testing::HasSubstr("no such storage"));
}

TEST_F(engine_test, a_malformed_answer_is_einval) {
  step(connected{});
  const auto id = submit();
  step(grant_failed{took<request_grant>().at(0).reqid, error(errc::invalid_argument, "no JSON"), true});
  EXPECT_EQ(outcome(id).error, 22);
}

TEST_F(engine_test, an_answer_without_url_is_einval) {
  step(connected{});
  const auto id = submit();
  step(grant_received{took<request_grant>().at(0).reqid, grant{}});
  EXPECT_EQ(outcome(id).error, 22);
}

TEST_F(engine_test, a_temporary_refusal_is_asked_again_when_the_hub_says) {
  step(connected{});
  const auto id = submit();
  step(grant_failed{took<request_grant>().at(0).reqid, error(errc::unavailable, "later").after(4s)});
  wait(3'999ms);
  EXPECT_TRUE(took<request_grant>().empty());
  wait(600ms);
  EXPECT_EQ(took<request_grant>().size(), 1U);
  EXPECT_TRUE(open(id));
}

TEST_F(engine_test, doubled_late_and_unknown_answers_change_nothing) {
  const auto t = to_transfer();
  for (std::uint64_t reqid : {0ULL, 1ULL, 10'000ULL, ~0ULL}) {
    step(grant_received{reqid, some_grant()});
    step(grant_failed{reqid, error(errc::internal, "x")});
    step(report_answered{reqid, std::nullopt});
    step(certificate_failed{reqid, error(errc::internal, "x")});
  }
  step(certificate_received{"sha256:unknown"});
  answer(t, 200);
  answer(t, 500);
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::success);
  EXPECT_TRUE(took<start_transfer>().empty());
}

// ---- certificates ----

TEST_F(engine_test, a_grant_with_an_unknown_certificate_asks_for_it_once_for_all) {
  step(connected{});
  submit();
  submit();
  for (const auto& r : took<request_grant>()) step(grant_received{r.reqid, some_grant({}, "sha256:aa")});
  EXPECT_EQ(took<request_certificate>().size(), 1U);
  EXPECT_TRUE(took<start_transfer>().empty());
  step(certificate_received{"sha256:aa"});
  EXPECT_EQ(took<start_transfer>().size(), 2U);
  submit();
  step(grant_received{took<request_grant>().at(0).reqid, some_grant({}, "sha256:aa")});
  EXPECT_EQ(took<start_transfer>().size(), 1U);
  EXPECT_TRUE(took<request_certificate>().empty());
}

TEST_F(engine_test, a_certificate_request_is_repeated_until_answered) {
  step(connected{});
  submit();
  step(grant_received{took<request_grant>().at(0).reqid, some_grant({}, "sha256:aa")});
  const auto first = took<request_certificate>().at(0).reqid;
  wait(1s);
  EXPECT_EQ(took<request_certificate>().at(0).reqid, first);
  step(disconnected{});
  wait(1h);
  EXPECT_TRUE(took<request_certificate>().empty());
  step(connected{});
  EXPECT_EQ(took<request_certificate>().size(), 1U);
}

TEST_F(engine_test, a_certificate_that_the_hub_refuses_or_forges_is_eperm) {
  step(connected{});
  const auto id = submit();
  step(grant_received{took<request_grant>().at(0).reqid, some_grant({}, "sha256:aa")});
  step(certificate_failed{took<request_certificate>().at(0).reqid, error(errc::data_corrupt, "wrong hash")});
  EXPECT_EQ(outcome(id).error, 1);
  EXPECT_EQ(timer_, std::nullopt);
}

TEST_F(engine_test, a_temporary_failure_of_a_certificate_is_asked_again) {
  step(connected{});
  const auto id = submit();
  step(grant_received{took<request_grant>().at(0).reqid, some_grant({}, "sha256:aa")});
  step(certificate_failed{took<request_certificate>().at(0).reqid, error(errc::unavailable, "later").after(2s)});
  wait(3s);
  EXPECT_EQ(took<request_certificate>().size(), 1U);
  EXPECT_TRUE(open(id));
}

TEST_F(engine_test, a_lost_certificate_is_asked_for_again_before_the_next_try) {
  step(connected{});
  submit();
  step(grant_received{took<request_grant>().at(0).reqid, some_grant({}, "sha256:aa")});
  step(certificate_received{"sha256:aa"});
  const auto t = took<start_transfer>().at(0);
  took<request_certificate>();
  step(certificate_lost{"sha256:aa"});
  break_off(t, errc::unavailable);
  wait(1s);
  EXPECT_EQ(took<request_certificate>().size(), 1U);
  EXPECT_TRUE(took<start_transfer>().empty());
}

// ---- the storage's part ----

TEST_F(engine_test, a_storage_that_is_down_is_tried_again_with_growing_waits) {
  auto t = to_transfer();
  break_off(t, errc::unavailable);
  EXPECT_TRUE(open(t.id));
  wait(500ms);
  const auto again = took<start_transfer>();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].attempt, t.attempt + 1);
  answer(again[0], 200);
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::success);
}

TEST_F(engine_test, after_some_tries_a_fresh_grant_is_asked_for) {
  auto t = to_transfer(some_grant("g1"));
  for (int i = 0; i < 2; ++i) {
    answer(t, 503);
    wait(2min);
    t = took<start_transfer>().at(0);
  }
  answer(t, 503);
  const auto reports = took<send_report>();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_FALSE(reports[0].done);
  EXPECT_EQ(reports[0].grant_id, "g1");
  wait(2min);
  EXPECT_TRUE(took<start_transfer>().empty());
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(engine_test, retry_after_is_kept) {
  const auto t = to_transfer();
  transfer_result busy;
  busy.status = 429;
  busy.retry_after = 30s;
  step(transfer_finished{t.id, t.attempt, busy});
  wait(29'999ms);
  EXPECT_TRUE(took<start_transfer>().empty());
  wait(600ms);
  EXPECT_EQ(took<start_transfer>().size(), 1U);
}

TEST_F(engine_test, a_403_asks_for_fresh_grants_and_then_it_is_final) {
  auto t = to_transfer();
  for (int i = 0; i < 2; ++i) {
    answer(t, 403);
    wait(2min);
    step(grant_received{took<request_grant>().at(0).reqid, some_grant()});
    t = took<start_transfer>().at(0);
  }
  answer(t, 403);
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::error_http);
  EXPECT_EQ(outcome(t.id).http_status, 403U);
}

TEST_F(engine_test, a_403_for_the_modules_own_url_is_final) {
  const auto id = submit_own_url();
  answer(took<start_transfer>().at(0), 403);
  EXPECT_EQ(outcome(id).http_status, 403U);
}

TEST_F(engine_test, a_redirect_ends_the_operation_with_its_status) {
  const auto t = to_transfer(some_grant("g"));
  answer(t, 307);
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::error_http);
  EXPECT_EQ(outcome(t.id).http_status, 307U);
  EXPECT_FALSE(took<send_report>().at(0).done);
}

TEST_F(engine_test, a_tls_failure_is_eperm_with_its_text) {
  const auto t = to_transfer();
  break_off(t, errc::permission_denied);
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::error);
  EXPECT_EQ(outcome(t.id).error, 1);
  EXPECT_EQ(finished_[t.id][0].message, "why");
}

TEST_F(engine_test, an_expired_grant_is_not_used) {
  auto g = some_grant();
  g.expires_in = 2min;
  const auto t = to_transfer(std::move(g));
  now_ += 2min;
  answer(t, 503);
  wait(1s);
  EXPECT_TRUE(took<start_transfer>().empty());
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

// ---- storages that want a checksum ----

struct engine_checksum_test : engine_test {
  operation_id refused() {
    step(connected{});
    const auto id = submit();
    step(grant_failed{took<request_grant>().at(0).reqid, error(errc::checksum_required, "with sha256")});
    return id;
  }
  void hashed(operation_id id) {
    transfer_result r;
    r.sha256 = std::string(64, 'a');
    step(file_hashed{id, r});
  }
};

TEST_F(engine_checksum_test, the_file_is_hashed_once_and_the_grant_asked_for_again) {
  const auto id = refused();
  EXPECT_EQ(took<hash_file>().at(0).id, id);
  EXPECT_TRUE(took<request_grant>().empty());
  hashed(id);
  const auto again = took<request_grant>();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].id, id);
  hashed(id);  // a late copy
  EXPECT_TRUE(took<request_grant>().empty());
  step(grant_failed{again[0].reqid, error(errc::checksum_required, "with sha256")});
  EXPECT_EQ(outcome(id).error, 5) << "a hub that is never content";
}

TEST_F(engine_checksum_test, later_files_of_that_storage_are_hashed_before_they_ask) {
  hashed(refused());
  took<request_grant>();
  took<hash_file>();
  const auto next = submit();
  EXPECT_TRUE(took<request_grant>().empty());
  EXPECT_EQ(took<hash_file>().at(0).id, next);
  order known;
  known.deadline = now_ + 24h;
  known.has_checksum = true;
  step(submitted{++last_, known});
  EXPECT_EQ(took<request_grant>().at(0).id, last_);
  order other;
  other.deadline = now_ + 24h;
  other.storage = "another";
  step(submitted{++last_, other});
  EXPECT_EQ(took<request_grant>().at(0).id, last_);
  order download;
  download.deadline = now_ + 24h;
  download.operation = wire::blob_operation::get;
  step(submitted{++last_, download});
  EXPECT_EQ(took<request_grant>().at(0).id, last_);
}

TEST_F(engine_checksum_test, a_file_that_cannot_be_read_ends_with_its_errno) {
  const auto id = refused();
  transfer_result r;
  r.failure = error(errc::data_corrupt, "the file has changed");
  r.failure_errno = ESTALE;
  step(file_hashed{id, r});
  EXPECT_EQ(outcome(id).error, ESTALE);
}

TEST_F(engine_checksum_test, hashing_goes_on_through_an_outage_and_ends_with_the_deadline) {
  const auto id = refused();
  step(disconnected{});
  hashed(id);
  EXPECT_TRUE(took<request_grant>().empty());
  step(connected{});
  EXPECT_EQ(took<request_grant>().size(), 1U);
  const auto late = submit();
  EXPECT_EQ(took<hash_file>().size(), 2U);
  wait(25h);
  EXPECT_EQ(outcome(late).error, 110);
  hashed(late);
  EXPECT_EQ(timer_, std::nullopt);
}

TEST_F(engine_checksum_test, files_are_hashed_ahead_within_the_bound_of_grants) {
  hashed(refused());
  took<hash_file>();
  for (int i = 0; i < 40; ++i) submit();
  EXPECT_EQ(took<hash_file>().size() + 1, limits{}.asked_ahead);
}

// ---- reports ----

TEST_F(engine_test, a_grant_with_an_id_succeeds_only_when_the_hub_has_verified_it) {
  const auto t = to_transfer(some_grant("g1"));
  transfer_result r;
  r.status = 201;
  r.bytes = 12;
  r.sha256 = "abc";
  step(transfer_finished{t.id, t.attempt, r});
  EXPECT_TRUE(open(t.id));
  const auto report = took<send_report>().at(0);
  EXPECT_TRUE(report.done);
  EXPECT_EQ(report.result.bytes, 12U);
  EXPECT_EQ(report.result.sha256, "abc");
  step(report_answered{report.reqid, std::nullopt});
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::success);
  EXPECT_EQ(outcome(t.id).http_status, 201U);
}

TEST_F(engine_test, a_report_is_repeated_until_answered_and_across_outages) {
  const auto t = to_transfer(some_grant("g1"));
  answer(t, 200);
  const auto first = took<send_report>().at(0).reqid;
  wait(1s);
  EXPECT_EQ(took<send_report>().at(0).reqid, first);
  step(disconnected{});
  wait(1h);
  EXPECT_TRUE(took<send_report>().empty());
  step(connected{});
  EXPECT_EQ(took<send_report>().at(0).reqid, first);
  EXPECT_TRUE(open(t.id));
}

TEST_F(engine_test, a_temporary_failure_of_the_check_is_reported_again) {
  const auto t = to_transfer(some_grant("g1"));
  answer(t, 200);
  step(report_answered{took<send_report>().at(0).reqid, error(errc::unavailable, "HEAD failed").after(5s)});
  wait(4s);
  EXPECT_TRUE(took<send_report>().empty());
  wait(2s);
  EXPECT_EQ(took<send_report>().size(), 1U);
  EXPECT_TRUE(open(t.id));
}

TEST_F(engine_test, a_failed_check_is_an_error_for_the_module) {
  const auto t = to_transfer(some_grant("g1"));
  answer(t, 200);
  step(report_answered{took<send_report>().at(0).reqid, error(errc::data_corrupt, "other bytes")});
  EXPECT_EQ(outcome(t.id).result, blob_outcome::kind::error);
  EXPECT_EQ(outcome(t.id).error, 5);
}

TEST_F(engine_test, an_object_that_exists_after_a_lost_answer_is_the_hubs_to_judge) {
  for (const int status : {412, 409}) {
    const auto first = to_transfer(some_grant("g"));
    break_off(first, errc::unavailable);  // the storage's 200 never came
    wait(1h);
    const auto second = took<start_transfer>().at(0);
    answer(second, status);
    EXPECT_TRUE(open(first.id));
    const auto r = took<send_report>().at(0);
    EXPECT_TRUE(r.done);
    EXPECT_EQ(r.result.status, status);
    step(report_answered{r.reqid, std::nullopt});
    EXPECT_EQ(outcome(first.id).result, blob_outcome::kind::success);
    EXPECT_EQ(outcome(first.id).http_status, 200U);
  }
}

TEST_F(engine_test, if_the_object_is_anothers_the_module_gets_the_storages_answer) {
  const auto first = to_transfer(some_grant("g"));
  answer(first, 503);
  wait(1h);
  answer(took<start_transfer>().at(0), 412);
  step(report_answered{took<send_report>().at(0).reqid, error(errc::already_exists, "another object")});
  EXPECT_EQ(outcome(first.id).result, blob_outcome::kind::error_http);
  EXPECT_EQ(outcome(first.id).http_status, 412U);
}

TEST_F(engine_test, an_object_that_existed_before_any_transfer_of_the_grant_is_anothers) {
  const auto first = to_transfer(some_grant("g"));
  answer(first, 412);
  EXPECT_EQ(outcome(first.id).http_status, 412U);
  EXPECT_FALSE(took<send_report>().at(0).done);

  const auto second = to_transfer(some_grant("g"));  // broken off, but on a grant that is no more
  answer(second, 403);
  wait(1h);
  step(grant_received{took<request_grant>().back().reqid, some_grant("h")});
  took<send_report>();
  answer(took<start_transfer>().back(), 412);
  EXPECT_EQ(outcome(second.id).http_status, 412U);
  EXPECT_FALSE(took<send_report>().back().done);
}

TEST_F(engine_test, without_a_grant_that_can_be_reported_nobody_can_tell) {
  const auto id = submit_own_url();
  break_off(took<start_transfer>().at(0), errc::unavailable);
  wait(1h);
  answer(took<start_transfer>().at(0), 412);
  EXPECT_EQ(outcome(id).http_status, 412U);
}

TEST_F(engine_test, what_the_storage_takes_only_once_is_noted_before_it_begins) {
  auto g = some_grant("g");
  g.create_only = true;
  const auto first = to_transfer(g);
  const auto note = took<note_sent>().at(0);
  EXPECT_EQ(note.grant_id, "g");
  EXPECT_EQ(note.result.status, 412);
  answer(first, 201);
  EXPECT_EQ(took<note_sent>().at(0).result.status, 201);

  to_transfer(some_grant("h"));
  EXPECT_TRUE(took<note_sent>().empty());
}

TEST_F(engine_test, no_other_grant_is_asked_for_before_the_hub_has_looked_whether_it_arrived) {
  auto g = some_grant("g");
  g.create_only = true;
  g.expires_in = 1min;
  const auto first = to_transfer(g);
  break_off(first, errc::unavailable);
  wait(1h);  // the grant is dead
  EXPECT_TRUE(took<request_grant>().empty());
  const auto report = took<send_report>().at(0);
  EXPECT_EQ(report.grant_id, "g");
  EXPECT_EQ(report.result.status, 412);
  step(report_answered{report.reqid, error(errc::already_exists, "no object of that name")});
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(engine_test, what_the_storage_has_refused_has_not_arrived) {
  auto g = some_grant("g");
  g.create_only = true;
  answer(to_transfer(g), 403);
  wait(1min);
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(engine_test, it_looks_too_when_the_storage_refuses_the_grant_after_a_lost_answer) {
  auto g = some_grant("g");
  g.create_only = true;
  break_off(to_transfer(g), errc::unavailable);
  wait(1min);
  answer(took<start_transfer>().at(0), 403);
  EXPECT_EQ(took<send_report>().at(0).result.status, 412);
}

class engine_resume_test : public engine_test {
 protected:
  operation_id submit_sent(int status = 201) {
    order o;
    o.deadline = now_ + 24h;
    o.sent.emplace();
    o.sent->grant_id = "g1";
    o.sent->result.status = status;
    o.sent->result.bytes = 5;
    step(submitted{++last_, std::move(o)});
    return last_;
  }
};

TEST_F(engine_resume_test, a_file_that_an_earlier_run_has_sent_is_reported_and_not_sent_again) {
  const auto id = submit_sent();
  step(connected{});
  const auto report = took<send_report>().at(0);
  EXPECT_EQ(report.grant_id, "g1");
  EXPECT_EQ(report.result.bytes, 5U);
  step(report_answered{report.reqid, std::nullopt});
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
  EXPECT_EQ(outcome(id).http_status, 201U);
  EXPECT_TRUE(took<request_grant>().empty());
}

TEST_F(engine_resume_test, a_grant_that_the_hub_has_forgotten_means_uploading_again) {
  const auto id = submit_sent();
  step(connected{});
  step(report_answered{took<send_report>().at(0).reqid, error(errc::not_found, "no such grant")});
  EXPECT_TRUE(open(id));
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(engine_resume_test, one_that_may_have_arrived_is_a_success_if_the_hub_finds_it) {
  const auto id = submit_sent(412);
  step(connected{});
  const auto report = took<send_report>().at(0);
  EXPECT_EQ(report.result.status, 412);
  step(report_answered{report.reqid, std::nullopt});
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
  EXPECT_EQ(outcome(id).http_status, 200U);
  EXPECT_TRUE(took<request_grant>().empty());
}

TEST_F(engine_resume_test, one_that_never_arrived_is_sent_on_another_grant) {
  const auto id = submit_sent(412);
  step(connected{});
  step(report_answered{took<send_report>().at(0).reqid, error(errc::already_exists, "no object of that name")});
  ASSERT_TRUE(open(id));
  step(grant_received{took<request_grant>().at(0).reqid, some_grant("g2")});
  answer(took<start_transfer>().at(0), 201);
  step(report_answered{took<send_report>().at(0).reqid, std::nullopt});
  EXPECT_EQ(outcome(id).http_status, 201U);
}

TEST_F(engine_resume_test, and_ends_where_that_name_is_anothers) {
  const auto id = submit_sent(412);
  step(connected{});
  step(report_answered{took<send_report>().at(0).reqid, error(errc::already_exists, "another object")});
  step(grant_received{took<request_grant>().at(0).reqid, some_grant("g2")});
  answer(took<start_transfer>().at(0), 412);
  EXPECT_EQ(outcome(id).http_status, 412U);
}

// ---- uploads in parts ----

class engine_parts_test : public engine_test {
 protected:
  static std::vector<part> parts(unsigned first, unsigned last) {
    std::vector<part> all;
    for (unsigned n = first; n <= last; ++n) {
      part p;
      p.number = n;
      p.url = secret("https://storage/part/" + std::to_string(n));
      p.offset = (n - 1) * 100;
      p.length = 100;
      all.push_back(std::move(p));
    }
    return all;
  }
  operation_id begin(unsigned count, unsigned parallel, unsigned page) {
    step(connected{});
    const auto id = submit();
    grant g;
    g.grant_id = "g1";
    g.plan.emplace();
    g.plan->part_bytes = 100;
    g.plan->part_count = count;
    g.plan->parallel = parallel;
    g.plan->parts = parts(1, page);
    step(grant_received{took<request_grant>().at(0).reqid, std::move(g)});
    return id;
  }
  void finish_part(const start_transfer& t, int status = 200) {
    transfer_result r;
    r.status = status;
    r.bytes = t.part->length;
    r.sha256 = "ab";
    step(transfer_finished{t.id, t.attempt, r, t.part->number});
  }
  std::set<unsigned> numbers(const std::vector<start_transfer>& all) {
    std::set<unsigned> out;
    for (const auto& t : all) out.insert(t.part->number);
    return out;
  }
};

TEST_F(engine_parts_test, parts_go_in_parallel_and_the_report_follows_the_last_one) {
  const auto id = begin(5, 2, 5);
  EXPECT_EQ(took<note_plan>().at(0).plan.plan.part_count, 5U);
  unsigned seen = 0;
  for (auto started = took<start_transfer>(); !started.empty(); started = took<start_transfer>()) {
    EXPECT_LE(engine_.transferring(), 2U);
    for (const auto& t : started) {
      EXPECT_EQ(t.part->number, ++seen) << "in ascending order";
      EXPECT_TRUE(took<send_report>().empty());
      finish_part(t);
    }
  }
  EXPECT_EQ(seen, 5U);
  EXPECT_EQ(took<note_part>().size(), 5U);
  const auto report = took<send_report>();
  ASSERT_EQ(report.size(), 1U);
  EXPECT_TRUE(report[0].done);
  EXPECT_EQ(report[0].result.bytes, 500U);
  step(report_answered{report[0].reqid, std::nullopt});
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
}

TEST_F(engine_parts_test, a_part_that_fails_is_sent_again_alone) {
  begin(3, 3, 3);
  const auto started = took<start_transfer>();
  finish_part(started.at(1), 503);
  finish_part(started.at(0));
  finish_part(started.at(2));
  EXPECT_TRUE(took<start_transfer>().empty()) << "it waits first";
  wait(1s);
  const auto again = took<start_transfer>();
  EXPECT_EQ(numbers(again), std::set<unsigned>{2});
  finish_part(again.at(0));
  EXPECT_EQ(took<send_report>().size(), 1U);
}

TEST_F(engine_parts_test, the_next_page_is_asked_for_when_it_is_needed_and_again_when_the_answer_is_lost) {
  begin(150, 1, 2);
  for (int i = 0; i < 2; ++i) finish_part(took<start_transfer>().at(0));
  const auto asked = took<request_parts>();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].grant_id, "g1");
  EXPECT_EQ(asked[0].first, 3U);
  EXPECT_EQ(asked[0].last, 66U);
  wait(1s);
  EXPECT_EQ(took<request_parts>().at(0).reqid, asked[0].reqid);
  step(parts_received{asked[0].reqid, parts(3, 4), std::nullopt});  // fewer than asked for
  EXPECT_EQ(numbers(took<start_transfer>()), std::set<unsigned>{3});
  step(parts_received{asked[0].reqid, parts(7, 8), std::nullopt});  // a late copy
  EXPECT_TRUE(took<start_transfer>().empty());
}

TEST_F(engine_parts_test, a_403_asks_for_fresh_signatures_and_then_it_is_final) {
  const auto id = begin(2, 1, 2);
  for (unsigned i = 1; i < retry_policy{}.grants_after_403; ++i) {
    finish_part(took<start_transfer>().at(0), 403);
    wait(5s);
    const auto asked = took<request_parts>();
    ASSERT_EQ(asked.size(), 1U) << i;
    EXPECT_EQ(asked[0].first, 1U);
    step(parts_received{asked[0].reqid, parts(1, 2), std::nullopt});
  }
  finish_part(took<start_transfer>().at(0), 403);
  EXPECT_EQ(outcome(id).http_status, 403U);
  EXPECT_FALSE(took<send_report>().at(0).done) << "so that the hub aborts the upload";
}

TEST_F(engine_parts_test, signatures_that_expire_during_the_upload_are_renewed_before_they_are_used) {
  step(connected{});
  submit();
  grant g;
  g.grant_id = "g1";
  g.expires_in = 60s;
  g.plan.emplace();
  g.plan->part_bytes = 100;
  g.plan->part_count = 3;
  g.plan->parts = parts(1, 3);
  step(grant_received{took<request_grant>().at(0).reqid, std::move(g)});
  now_ += 56s;
  finish_part(took<start_transfer>().at(0));
  EXPECT_TRUE(took<start_transfer>().empty());
  EXPECT_EQ(took<request_parts>().at(0).first, 2U);
}

TEST_F(engine_parts_test, one_that_fails_while_it_waits_for_the_certificate_is_not_moved_when_that_comes) {
  step(connected{});
  const auto id = submit();
  grant g;
  g.grant_id = "g1";
  g.certificate_id = "sha256:aa";
  g.plan.emplace();
  g.plan->part_bytes = 100;
  g.plan->part_count = 4;
  g.plan->parallel = 2;
  g.plan->parts = parts(1, 4);
  step(grant_received{took<request_grant>().at(0).reqid, std::move(g)});
  step(certificate_received{"sha256:aa"});
  const auto started = took<start_transfer>();
  ASSERT_EQ(started.size(), 2U);
  step(certificate_lost{"sha256:aa"});
  finish_part(started[0]);  // the next one needs the certificate again
  finish_part(started[1], 404);
  EXPECT_EQ(outcome(id).http_status, 404U);
  step(certificate_received{"sha256:aa"});
  EXPECT_EQ(engine_.live(), 0U);
}

TEST_F(engine_parts_test, an_upload_that_the_hub_has_forgotten_begins_anew) {
  const auto id = begin(3, 1, 1);
  finish_part(took<start_transfer>().at(0));
  step(parts_failed{took<request_parts>().at(0).reqid, error(errc::not_found, "no such upload")});
  EXPECT_TRUE(open(id));
  wait(1s);
  EXPECT_EQ(took<request_grant>().size(), 1U);
}

TEST_F(engine_parts_test, a_restart_goes_on_with_the_parts_that_lack) {
  order o;
  o.deadline = now_ + 24h;
  o.began.emplace();
  o.began->grant_id = "g1";
  o.began->plan.part_bytes = 100;
  o.began->plan.part_count = 4;
  o.began->plan.parallel = 4;
  o.began->done = {1, 3, 4, 4, 99};
  o.began->file_bytes = 350;
  step(submitted{++last_, std::move(o)});
  EXPECT_TRUE(took<request_parts>().empty());
  step(connected{});
  const auto asked = took<request_parts>();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].first, 2U);
  step(parts_received{asked[0].reqid, parts(2, 4), std::nullopt});
  const auto started = took<start_transfer>();
  EXPECT_EQ(numbers(started), (std::set<unsigned>{2}));
  for (const auto& t : started) finish_part(t);
  const auto report = took<send_report>();
  ASSERT_EQ(report.size(), 1U);
  EXPECT_EQ(report[0].result.bytes, 350U) << "of the whole file, whoever sent the parts";
}

TEST_F(engine_parts_test, small_files_leave_one_place_for_a_large_one_and_the_other_way_round) {
  begin(100, 100, 60);
  EXPECT_EQ(took<start_transfer>().size(), limits{}.transfers);
  for (int i = 0; i < 30; ++i) submit_own_url();
  EXPECT_TRUE(took<start_transfer>().empty());
}

TEST_F(engine_parts_test, the_deadline_ends_an_upload_in_parts_once_and_its_transfers_are_forgotten) {
  const auto id = begin(4, 4, 4);
  const auto started = took<start_transfer>();
  wait(25h);
  EXPECT_EQ(outcome(id).error, 110);
  for (const auto& t : started) finish_part(t);
  EXPECT_EQ(engine_.transferring(), 0U);
  EXPECT_EQ(timer_, std::nullopt);
}

// ---- storages in trouble ----

class engine_storage_test : public engine_test {
 protected:
  static limits bounds() {
    limits l;
    l.transfers = 4;
    l.transfers_per_storage = 2;
    l.quarantine_after = 6;
    return l;
  }
  engine_storage_test() : engine_test(bounds()) {}
  operation_id submit_to(std::string storage) {
    order o;
    o.own.emplace();
    o.own->url = secret("http://" + storage + "/o");
    o.storage = std::move(storage);
    o.deadline = now_ + 24h;
    step(submitted{++last_, std::move(o)});
    return last_;
  }
};

TEST_F(engine_storage_test, one_storage_does_not_take_every_place) {
  for (int i = 0; i < 5; ++i) submit_to("a");
  for (int i = 0; i < 5; ++i) submit_to("b");
  std::map<std::string, int> started;
  for (const auto& t : took<start_transfer>()) ++started[t.grant.url.reveal()];
  EXPECT_EQ(started["http://a/o"], 2);
  EXPECT_EQ(started["http://b/o"], 2);
}

TEST_F(engine_storage_test, a_dead_storage_gets_only_probes_and_another_one_is_not_held_up) {
  for (int i = 0; i < 10; ++i) submit_to("dead");
  int tries = 0;
  for (int second = 0; second < 3600; ++second) {
    for (const auto& t : took<start_transfer>()) ++tries, break_off(t, errc::unavailable);
    wait(1s);
  }
  EXPECT_EQ(engine_.open_breakers(), std::vector<std::string>{"dead"});
  EXPECT_LT(tries, 40) << "in an hour, for ten files";
  const auto id = submit_to("alive");
  answer(took<start_transfer>().at(0), 200);
  EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
}

TEST_F(engine_storage_test, when_a_dead_storage_is_back_all_its_files_arrive) {
  std::vector<operation_id> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(submit_to("s"));
  for (int second = 0; second < 600; ++second) {
    for (const auto& t : took<start_transfer>()) break_off(t, errc::unavailable);
    wait(1s);
  }
  for (int second = 0; second < 1500; ++second) {
    for (auto started = took<start_transfer>(); !started.empty(); started = took<start_transfer>())
      for (const auto& t : started) answer(t, 200);
    wait(1s);
  }
  for (const auto id : ids) EXPECT_EQ(outcome(id).result, blob_outcome::kind::success);
}

TEST_F(engine_storage_test, a_file_that_its_storage_never_takes_while_it_takes_others_goes_to_quarantine) {
  const auto poison = submit_to("s");
  for (int i = 0; i < 3000 && open(poison); ++i) {
    for (const auto& t : took<start_transfer>()) answer(t, t.id == poison ? 503 : 200);
    if (i % 10 == 0) submit_to("s");
    wait(1s);
  }
  EXPECT_EQ(outcome(poison).http_status, 503U);
  EXPECT_TRUE(finished_[poison].at(0).quarantined);
  EXPECT_THAT(finished_[poison].at(0).message, testing::HasSubstr("in quarantine after 6 tries"));
}

TEST_F(engine_storage_test, no_file_is_poison_while_its_storage_takes_none) {
  const auto id = submit_to("s");
  for (int i = 0; i < 20'000; ++i) {
    for (const auto& t : took<start_transfer>()) answer(t, 503);
    wait(1s);
  }
  EXPECT_TRUE(open(id));
}

// ---- bounds ----

TEST_F(engine_test, at_most_so_many_transfers_run_at_once) {
  for (int i = 0; i < 20; ++i) submit_own_url();
  auto started = took<start_transfer>();
  EXPECT_EQ(started.size(), limits{}.transfers);
  answer(started[3], 200);
  EXPECT_EQ(took<start_transfer>().size(), 1U);
}

TEST_F(engine_test, grants_are_asked_ahead_within_a_bound) {
  step(connected{});
  for (int i = 0; i < 40; ++i) submit();
  EXPECT_EQ(took<request_grant>().size(), limits{}.asked_ahead);
}

struct deadline_case {
  const char* name;
  int stage;
};
class engine_deadline_test : public engine_test, public testing::WithParamInterface<deadline_case> {};

TEST_P(engine_deadline_test, ends_with_etimedout_exactly_once) {
  const int stage = GetParam().stage;
  operation_id id = submit();
  std::optional<start_transfer> t;
  if (stage >= 1) step(connected{});
  if (stage >= 2) step(grant_received{took<request_grant>().at(0).reqid, some_grant("g", "sha256:aa")});
  if (stage >= 3) {
    step(certificate_received{"sha256:aa"});
    t = took<start_transfer>().at(0);
  }
  if (stage == 4) break_off(*t, errc::unavailable);
  if (stage == 5) answer(*t, 200);
  ASSERT_TRUE(open(id));
  step(disconnected{});
  wait(25h);
  EXPECT_EQ(outcome(id).error, 110);
  EXPECT_EQ(engine_.live(), 0U);
  if (t) answer(*t, 200);  // too late
  step(connected{});
  wait(25h);
  EXPECT_EQ(outcome(id).error, 110);
  EXPECT_EQ(engine_.transferring(), 0U);
  EXPECT_EQ(timer_, std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(stages, engine_deadline_test,
                         testing::Values(deadline_case{"waiting", 0}, deadline_case{"asking", 1},
                                         deadline_case{"certificate", 2}, deadline_case{"transferring", 3},
                                         deadline_case{"backing_off", 4}, deadline_case{"reporting", 5}),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace evp::runtime::upload
