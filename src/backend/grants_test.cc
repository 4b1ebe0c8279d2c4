#include "backend/grants.h"

#include <chrono>

#include "backend/test_world.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// A self-signed certificate of nobody, made for this test.
constexpr std::string_view a_certificate =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdDCCARmgAwIBAgIUFDBJBn6MIsaa84U5gLWPA9/EsTswCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjIyMTQxMzVaFw0zNjExMTkyMTQxMzVa\n"
    "MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR+Gc6n\n"
    "oHsgVVIwcuPWCBM31FXi8uJHXezQvDlTN6Vj7wSLT57KGTQNJIggJjzzSlAgo6iN\n"
    "y/BaN/7kEr+Wx562o1MwUTAdBgNVHQ4EFgQUhoxNazLtCS4VmGf+NFr6p3nrqnMw\n"
    "HwYDVR0jBBgwFoAUhoxNazLtCS4VmGf+NFr6p3nrqnMwDwYDVR0TAQH/BAUwAwEB\n"
    "/zAKBggqhkjOPQQDAgNJADBGAiEA7C3U8TYm56pm/ixw8rJDvN6uDMzsIXTxdymp\n"
    "tzQIe7kCIQD46w0yShzis4+W3lGD/YfC95E+gPFqIlXDSiG/gcClQg==\n"
    "-----END CERTIFICATE-----\n";

struct grants_test : world {
  void SetUp() override {
    add_default_service();
    add_device();
  }
  wire::storage_token_response issue(wire::storage_token_request r, std::string device = "cam-1") {
    return run(b_->grants.issue(std::move(device), std::move(r), wire::dialect::evp2));
  }
  std::vector<upload> rows() { return run(b_->ledger.list({}, {})).value().items; }
  upload row(const std::string& grant) { return run(b_->ledger.get(grant)).value(); }
  wire::transfer_report_response report(const std::string& grant, std::uint64_t bytes, bool done = true,
                                        std::string device = "cam-1") {
    wire::transfer_report r;
    r.reqid = "9";
    r.grant_id = grant;
    r.done = done;
    r.bytes = bytes;
    r.http_status = done ? 201 : 403;
    if (!done) r.message = "the storage said no";
    return run(b_->grants.report(std::move(device), std::move(r)));
  }
};

TEST_F(grants_test, a_grant_carries_url_headers_and_expiry_and_its_row_is_durable) {
  auto in = input("h");
  in.headers = {{"x-kind", "photo"}};
  ASSERT_TRUE(run(b_->services.create(in)));
  auto r = ask("10", "dir/a.jpg");
  r.key = "h";
  r.size = 7;
  const auto g = issue(r);
  ASSERT_FALSE(g.failure);
  EXPECT_EQ(g.reqid, "10");
  EXPECT_THAT(g.url.reveal(), HasSubstr("https://storage.example/cam-1/up/dir/a.jpg"));
  EXPECT_EQ(g.headers, (std::vector<wire::name_value>{{"x-kind", "photo"}}));
  EXPECT_EQ(g.expires_at, clock_.now() + milliseconds(120'000));
  EXPECT_EQ(g.expires_in, milliseconds(120'000));
  EXPECT_EQ(g.expect, (std::vector<int>{201}));

  reopen();
  const auto u = row(g.grant_id);
  EXPECT_EQ(u.state, upload_state::issued);
  EXPECT_EQ(u.device, "cam-1");
  EXPECT_EQ(u.service_name, "h");
  EXPECT_EQ(u.object, "cam-1/up/dir/a.jpg");
  EXPECT_EQ(u.size_declared, 7u);
  EXPECT_TRUE(u.can_report);
}

TEST_F(grants_test, an_older_agent_gets_a_portless_signature_and_no_field_of_ours) {
  const auto g = issue(ask("1", "a.jpg", false));
  ASSERT_FALSE(g.failure);
  EXPECT_TRUE(cloud_.signs.back().portless_host);
  EXPECT_THAT(g.grant_id, IsEmpty());
  EXPECT_FALSE(g.expires_in);
  EXPECT_THAT(g.certificate_id, IsEmpty());
  EXPECT_EQ(rows().size(), 1u);
  issue(ask("2"));
  EXPECT_FALSE(cloud_.signs.back().portless_host);
}

TEST_F(grants_test, an_older_agent_is_not_given_a_url_that_it_cannot_send) {
  auto in = input("h");
  in.headers = {{"x-long-1", std::string(1000, 'x')}, {"x-long-2", std::string(1000, 'x')}};
  ASSERT_TRUE(run(b_->services.create(in)));
  auto r = ask("1", "a.jpg", false);
  r.key = "h";
  EXPECT_EQ(issue(r).failure->code(), errc::too_large);
  r.accept = {"report/1"};
  EXPECT_FALSE(issue(r).failure);
}

TEST_F(grants_test, the_same_request_again_gives_the_same_grant_for_ten_seconds) {
  const auto first = issue(ask("1"));
  clock_.advance(milliseconds(9'000));
  const auto again = issue(ask("1"));
  EXPECT_EQ(first.grant_id, again.grant_id);
  EXPECT_EQ(first.url, again.url);
  EXPECT_EQ(rows().size(), 1u);
  add_device("cam-2");
  EXPECT_NE(issue(ask("1"), "cam-2").grant_id, first.grant_id);
  clock_.advance(milliseconds(2'000));
  EXPECT_NE(issue(ask("1")).grant_id, first.grant_id);
}

io::task<std::pair<std::string, std::string>> ask_twice(grants& g, wire::storage_token_request r) {
  using namespace io::asio::experimental::awaitable_operators;
  auto both = g.issue("cam-1", r, wire::dialect::evp2) && g.issue("cam-1", r, wire::dialect::evp2);
  auto answers = co_await std::move(both);
  co_return std::pair(std::get<0>(answers).grant_id, std::get<1>(answers).grant_id);
}

TEST_F(grants_test, a_repetition_that_overtakes_the_answer_gives_one_grant) {
  const auto [a, b] = run(ask_twice(b_->grants, ask("1")));
  EXPECT_FALSE(a.empty());
  EXPECT_EQ(a, b);
  EXPECT_EQ(rows().size(), 1u);
}

TEST_F(grants_test, an_older_agent_that_reuses_an_id_gets_a_grant_each_time) {
  issue(ask("1", "a.jpg", false));
  issue(ask("1", "b.jpg", false));
  EXPECT_EQ(rows().size(), 2u);
}

TEST_F(grants_test, unknown_and_blocked_devices_get_nothing) {
  EXPECT_EQ(issue(ask("1"), "stranger").failure->code(), errc::permission_denied);
  ASSERT_TRUE(run(b_->devices.block("cam-1")));
  EXPECT_EQ(issue(ask("1")).failure->code(), errc::permission_denied);
  ASSERT_TRUE(run(b_->devices.unblock("cam-1")));
  EXPECT_FALSE(issue(ask("1")).failure);
}

TEST_F(grants_test, each_refusal_has_a_code_and_a_text_and_leaves_no_row) {
  auto r = ask("1");
  r.key = "elsewhere";
  EXPECT_EQ(issue(r).failure->code(), errc::not_found);
  EXPECT_EQ(issue(ask("2", "../x")).failure->code(), errc::invalid_argument);
  r = ask("3");
  r.size = 1001;
  EXPECT_EQ(issue(r).failure->code(), errc::too_large);
  r = ask("4");
  r.instance = "";
  EXPECT_EQ(issue(r).failure->code(), errc::invalid_argument);
  EXPECT_THAT(rows(), IsEmpty());
}

struct limited_grants_test : grants_test {
  limited_grants_test() {
    close();
    limits_.per_device_per_second = 50;
    limits_.per_device_burst = 20;
    open();
  }
};

TEST_F(limited_grants_test, a_device_that_asks_too_fast_is_told_when_to_come_back_and_others_are_unharmed) {
  add_device("cam-2");
  for (int i = 0; i < 20; ++i) ASSERT_FALSE(issue(ask(std::to_string(i))).failure);
  const auto refused = issue(ask("900"));
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->code(), errc::rate_limited);
  EXPECT_LE(refused.failure->retry_after()->count(), 21);
  EXPECT_FALSE(issue(ask("1"), "cam-2").failure);
  clock_.advance(*refused.failure->retry_after());
  EXPECT_FALSE(issue(ask("901")).failure);
}

struct slow_grants_test : grants_test {
  slow_grants_test() {
    close();
    limits_.answer_within = milliseconds(50);
    open();
  }
};

TEST_F(slow_grants_test, an_answer_comes_in_time_however_slow_the_storage_is) {
  const auto wrong = run(b_->services.remove("default"));
  ASSERT_TRUE(wrong);
  cloud_.failure = error(errc::unavailable, "slow");
  add_default_service();
  cloud_.delay = milliseconds(60'000);
  clock_.advance(milliseconds(31'000));
  const auto g = issue(ask("1"));
  ASSERT_TRUE(g.failure);
  EXPECT_EQ(g.failure->code(), errc::deadline_exceeded);
  EXPECT_TRUE(g.failure->retry_after());
}

TEST_F(slow_grants_test, a_check_that_takes_too_long_is_temporary_and_the_row_stays_uploaded) {
  const auto g = issue(ask("1"));
  cloud_.delay = milliseconds(60'000);
  const auto r = report(g.grant_id, 3);
  ASSERT_TRUE(r.failure);
  EXPECT_TRUE(is_temporary(r.failure->code()));
  EXPECT_THAT(r.failure->message(), HasSubstr("PT0.037S"));
  EXPECT_TRUE(r.failure->retry_after());
  EXPECT_EQ(row(g.grant_id).state, upload_state::uploaded);
}

TEST_F(grants_test, a_report_that_matches_the_object_is_verified_and_may_be_repeated) {
  const auto g = issue(ask("1"));
  cloud_.objects["cam-1/up/a.jpg"] = "abc";
  EXPECT_TRUE(report(g.grant_id, 3).verified);
  EXPECT_EQ(row(g.grant_id).state, upload_state::verified);
  EXPECT_EQ(row(g.grant_id).size_bytes, 3u);
  const int asked = cloud_.stats;
  EXPECT_TRUE(report(g.grant_id, 3).verified);
  EXPECT_EQ(cloud_.stats, asked);
}

TEST_F(grants_test, an_object_of_another_size_or_none_is_a_failure_with_a_reason) {
  const auto a = issue(ask("1"));
  cloud_.objects["cam-1/up/a.jpg"] = "abcd";
  EXPECT_EQ(report(a.grant_id, 3).failure->code(), errc::data_corrupt);
  EXPECT_EQ(row(a.grant_id).state, upload_state::failed);
  EXPECT_THAT(row(a.grant_id).reason, HasSubstr("4 bytes"));
  const auto b = issue(ask("2", "b.jpg"));
  EXPECT_EQ(report(b.grant_id, 3).failure->code(), errc::data_corrupt);
  EXPECT_EQ(row(b.grant_id).state, upload_state::failed);
}

TEST_F(grants_test, a_storage_that_cannot_be_asked_is_asked_again_later) {
  const auto g = issue(ask("1"));
  cloud_.objects["cam-1/up/a.jpg"] = "abc";
  cloud_.failure = error(errc::unavailable, "503");
  const auto r = report(g.grant_id, 3);
  EXPECT_EQ(r.failure->code(), errc::unavailable);
  EXPECT_THAT(r.failure->message(), HasSubstr("503"));
  EXPECT_TRUE(r.failure->retry_after());
  EXPECT_EQ(row(g.grant_id).state, upload_state::uploaded);
  cloud_.failure.reset();
  EXPECT_TRUE(report(g.grant_id, 3).verified);
}

TEST_F(grants_test, a_failure_that_the_device_reports_is_kept_with_its_reason) {
  const auto g = issue(ask("1"));
  const auto r = report(g.grant_id, 0, false);
  EXPECT_FALSE(r.failure);
  EXPECT_FALSE(r.verified);
  EXPECT_EQ(row(g.grant_id).state, upload_state::failed);
  EXPECT_EQ(row(g.grant_id).reason, "the storage said no (HTTP status 403)");
}

TEST_F(grants_test, reports_on_foreign_and_unknown_grants_are_not_found) {
  const auto g = issue(ask("1"));
  add_device("cam-2");
  cloud_.objects["cam-1/up/a.jpg"] = "abc";
  EXPECT_EQ(report(g.grant_id, 3, true, "cam-2").failure->code(), errc::not_found);
  EXPECT_EQ(report("nothing", 3).failure->code(), errc::not_found);
  EXPECT_EQ(row(g.grant_id).state, upload_state::issued);
}

TEST_F(grants_test, an_upload_granted_before_a_change_of_provider_is_checked_where_it_went) {
  const auto g = issue(ask("1"));
  cloud_.objects["cam-1/up/a.jpg"] = "abc";
  fake_storage other;
  fake_storage::current = &other;
  ASSERT_TRUE(run(b_->services.replace("default", input())));
  EXPECT_TRUE(report(g.grant_id, 3).verified);
  EXPECT_EQ(other.stats, 0);
  close();  // before the other storage goes
}

TEST_F(grants_test, a_forgotten_grant_is_settled_by_one_look_after_its_expiry) {
  const auto stored = issue(ask("1", "a.jpg"));
  const auto nothing = issue(ask("2", "b.jpg"));
  auto r = ask("3", "c.jpg");
  r.size = 5;
  const auto wrong = issue(r);
  cloud_.objects["cam-1/up/a.jpg"] = "abc";
  cloud_.objects["cam-1/up/c.jpg"] = "abc";
  EXPECT_EQ(run(b_->grants.sweep_once()).value(), 0u);
  clock_.advance(milliseconds(120'000 + 10'001));
  EXPECT_EQ(run(b_->grants.sweep_once()).value(), 3u);
  EXPECT_EQ(row(stored.grant_id).state, upload_state::verified);
  EXPECT_EQ(row(nothing.grant_id).state, upload_state::expired);
  EXPECT_EQ(row(wrong.grant_id).state, upload_state::failed);
  EXPECT_EQ(run(b_->grants.sweep_once()).value(), 0u);
  EXPECT_EQ(cloud_.stats, 3);
}

TEST_F(grants_test, a_sweep_leaves_what_it_cannot_ask_about_and_gives_up_after_an_hour) {
  const auto g = issue(ask("1"));
  cloud_.failure = error(errc::unavailable, "503");
  clock_.advance(milliseconds(140'000));
  EXPECT_EQ(run(b_->grants.sweep_once()).value(), 0u);
  EXPECT_EQ(row(g.grant_id).state, upload_state::issued);
  clock_.advance(milliseconds(3'600'000));
  EXPECT_EQ(run(b_->grants.sweep_once()).value(), 1u);
  EXPECT_EQ(row(g.grant_id).state, upload_state::expired);
}

TEST_F(grants_test, a_late_report_corrects_an_expired_row) {
  const auto g = issue(ask("1"));
  clock_.advance(milliseconds(140'000));
  ASSERT_EQ(run(b_->grants.sweep_once()).value(), 1u);
  cloud_.objects["cam-1/up/a.jpg"] = "abc";
  EXPECT_TRUE(report(g.grant_id, 3).verified);
  EXPECT_EQ(row(g.grant_id).state, upload_state::verified);
}

TEST_F(grants_test, the_ledger_gives_pages_newest_first_with_filters_and_counts) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(issue(ask(std::to_string(i))).grant_id);
    clock_.advance(milliseconds(1'000));
  }
  auto first = run(b_->ledger.list({}, {2, ""})).value();
  ASSERT_EQ(first.items.size(), 2u);
  EXPECT_EQ(first.items[0].grant_id, ids[4]);
  const auto second = run(b_->ledger.list({}, {3, first.next_cursor})).value();
  ASSERT_EQ(second.items.size(), 3u);
  EXPECT_EQ(second.items[0].grant_id, ids[2]);
  EXPECT_THAT(second.next_cursor, IsEmpty());

  upload_filter f;
  f.since = clock_.now() - milliseconds(2'000);
  EXPECT_EQ(run(b_->ledger.list(f, {})).value().items.size(), 2u);
  f = {};
  f.device = "cam-2";
  EXPECT_THAT(run(b_->ledger.list(f, {})).value().items, IsEmpty());
  EXPECT_EQ(run(b_->ledger.list({}, {0, ""})).error().field(), "limit");
  EXPECT_EQ(run(b_->ledger.count()).value()[std::size_t(upload_state::issued)], 5u);
}

TEST_F(grants_test, a_service_s_certificate_is_named_in_grants_and_given_until_the_service_is_gone) {
  auto in = input("tls");
  in.certificate = a_certificate;
  ASSERT_TRUE(run(b_->services.create(in)));
  auto r = ask("1");
  r.key = "tls";
  const auto g = issue(r);
  EXPECT_THAT(g.certificate_id, testing::MatchesRegex("sha256:[0-9a-f]{64}"));
  EXPECT_EQ(b_->grants.certificate("cam-1", {"2", g.certificate_id}).pem, a_certificate);
  r.reqid = "3";
  r.accept = {"report/1"};
  EXPECT_THAT(issue(r).certificate_id, IsEmpty());
  ASSERT_TRUE(run(b_->services.remove("tls")));
  EXPECT_EQ(b_->grants.certificate("cam-1", {"4", g.certificate_id}).failure->code(), errc::not_found);
}

TEST_F(grants_test, certificates_of_existing_services_are_given_by_their_id_and_only_to_active_devices) {
  wire::certificate_request r{"7", "sha256:" + std::string(64, '0')};
  EXPECT_EQ(b_->grants.certificate("cam-1", r).failure->code(), errc::not_found);
  EXPECT_EQ(b_->grants.certificate("stranger", r).failure->code(), errc::permission_denied);
}

}  // namespace
}  // namespace evp::backend
