// Grants that devices keep for later: who gets one, how long it lives, and what blocking says of it.
#include "backend/test_world.h"

namespace evp::backend {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::HasSubstr;

struct offline_grants_test : world {
  void SetUp() override {
    cloud_.enforces = {storage::bound::object, storage::bound::expiry, storage::bound::create_only};
    ASSERT_TRUE(run(b_->services.create(giving("PT1H"))));
    add_device();
  }
  static service_input giving(std::string offline, std::optional<std::string> name = {}) {
    auto in = input(std::move(name));
    in.offline_duration = std::move(offline);
    return in;
  }
  wire::storage_token_request ask_offline(std::string name = "a.jpg") {
    auto r = ask(std::to_string(++last_), std::move(name));
    r.accept.push_back("offline/1");
    r.accept.push_back("plan/1");
    r.offline = true;
    r.size = 3;
    return r;
  }
  wire::storage_token_response issue(wire::storage_token_request r, std::string device = "cam-1") {
    return run(b_->grants.issue(std::move(device), std::move(r), wire::dialect::evp2));
  }
  wire::transfer_report_response report(const std::string& grant, bool done = true) {
    wire::transfer_report r;
    r.reqid = "9";
    r.grant_id = grant;
    r.done = done;
    r.bytes = 3;
    r.http_status = done ? 201 : 403;
    return run(b_->grants.report("cam-1", std::move(r)));
  }
  upload row(const std::string& grant) { return run(b_->ledger.get(grant)).value(); }
  std::size_t rows() { return run(b_->ledger.list({}, {})).value().items.size(); }
  live_grants block() { return run(block_device(*b_, "cam-1")).value().rest.grants; }
  int last_ = 0;
};

TEST_F(offline_grants_test, one_lives_as_long_as_the_service_says_and_the_ledger_knows_it) {
  const auto g = issue(ask_offline());
  ASSERT_FALSE(g.failure) << g.failure->message();
  EXPECT_TRUE(g.offline);
  EXPECT_EQ(g.expires_in, milliseconds(hours(1)));
  EXPECT_EQ(cloud_.signs.back().lifetime, milliseconds(hours(1)));
  reopen();
  EXPECT_TRUE(row(g.grant_id).offline);
  EXPECT_EQ(row(g.grant_id).expires_at, clock_.now() + hours(1));
}

TEST_F(offline_grants_test, who_does_not_ask_for_one_gets_an_ordinary_grant) {
  auto without_field = ask_offline();
  without_field.offline = false;
  auto without_accept = ask_offline();
  without_accept.accept = {"certificate/1", "report/1"};
  auto download = ask_offline();
  download.operation = wire::blob_operation::get;
  for (auto& r : {without_field, without_accept, download}) {
    const auto g = issue(r);
    ASSERT_FALSE(g.failure) << g.failure->message();
    EXPECT_FALSE(g.offline);
    EXPECT_EQ(g.expires_in, milliseconds(120'000));
    EXPECT_FALSE(row(g.grant_id).offline);
  }
}

TEST_F(offline_grants_test, it_is_bound_as_other_grants_are) {
  auto in = giving("PT1H", "strict");
  in.bounds = {true, 10, ""};
  ASSERT_TRUE(run(b_->services.create(in)));
  auto r = ask_offline();
  r.key = "strict";
  ASSERT_FALSE(issue(r).failure);
  EXPECT_TRUE(cloud_.signs.back().create_only);
  EXPECT_EQ(cloud_.signs.back().object, "cam-1/up/a.jpg");
  r = ask_offline();
  r.key = "strict";
  r.size = 11;
  EXPECT_EQ(issue(r).failure->code(), errc::too_large);
}

TEST_F(offline_grants_test, a_service_that_gives_none_says_so_and_leaves_no_row) {
  ASSERT_TRUE(run(b_->services.replace("default", input())));
  const auto g = issue(ask_offline());
  ASSERT_TRUE(g.failure);
  EXPECT_EQ(g.failure->code(), errc::unsupported);
  EXPECT_THAT(g.failure->message(), HasSubstr("no offline grants"));
  EXPECT_EQ(rows(), 0U);
}

TEST_F(offline_grants_test, a_form_is_not_kept) {
  cloud_.grant.emplace();
  cloud_.grant->method = "POST";
  EXPECT_EQ(issue(ask_offline()).failure->code(), errc::unsupported);
}

TEST_F(offline_grants_test, a_file_that_goes_in_parts_gets_none_and_nothing_is_begun_for_it) {
  cloud_.takes_parts = true;
  ASSERT_TRUE(run(b_->services.replace("default", giving("PT1H"))));
  auto r = ask_offline();
  r.size = 100ULL << 20;
  EXPECT_EQ(issue(r).failure->code(), errc::too_large);
  EXPECT_TRUE(cloud_.parts.empty());
  r.reqid = "other";
  r.offline = false;
  EXPECT_TRUE(issue(r).plan);
}

TEST_F(offline_grants_test, one_that_an_out_of_date_backend_signs_never_leaves) {
  auto other = std::move(b_);
  open();
  ASSERT_TRUE(run(b_->services.replace("default", input())));  // no offline grants any more
  const auto g = run(other->grants.issue("cam-1", ask_offline(), wire::dialect::evp2));
  ASSERT_TRUE(g.failure);
  EXPECT_EQ(g.failure->code(), errc::unsupported);
  EXPECT_EQ(rows(), 0U);
  close();
  b_ = std::move(other);
}

struct capped_offline_grants_test : offline_grants_test {
  capped_offline_grants_test() {
    limits_.offline_per_device = 2;
    reopen();
  }
};

TEST_F(capped_offline_grants_test, a_device_has_only_so_many_that_live_and_are_not_used) {
  const auto first = issue(ask_offline("1"));
  const auto second = issue(ask_offline("2"));
  const auto refused = issue(ask_offline("3"));
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->code(), errc::rate_limited);
  EXPECT_GE(refused.failure->retry_after(), seconds(1));
  EXPECT_FALSE(issue(ask("x")).failure) << "ordinary ones are another matter";
  add_device("cam-2");
  EXPECT_FALSE(issue(ask_offline(), "cam-2").failure) << "and so is another device";

  cloud_.objects["cam-1/up/1"] = "abc";
  EXPECT_TRUE(report(first.grant_id).verified);
  EXPECT_FALSE(issue(ask_offline("3")).failure) << "one is used";
  EXPECT_TRUE(issue(ask_offline("4")).failure);
  EXPECT_FALSE(report(second.grant_id, false).failure);
  EXPECT_FALSE(issue(ask_offline("4")).failure) << "one was given up";
  EXPECT_TRUE(issue(ask_offline("5")).failure);
  clock_.advance(hours(1));
  EXPECT_FALSE(issue(ask_offline("5")).failure) << "they have died";
}

TEST_F(offline_grants_test, the_sweep_waits_until_it_is_dead_and_finds_what_came_without_a_word) {
  const auto used = issue(ask_offline("used")), unused = issue(ask_offline("unused"));
  cloud_.objects["cam-1/up/used"] = "abc";
  clock_.advance(minutes(59));
  EXPECT_EQ(run(b_->grants.sweep_once()).value(), 0U);
  clock_.advance(minutes(2));
  EXPECT_EQ(run(b_->grants.sweep_once()).value(), 2U);
  EXPECT_EQ(row(used.grant_id).state, upload_state::verified);
  EXPECT_EQ(row(unused.grant_id).state, upload_state::expired);
}

TEST_F(offline_grants_test, a_block_counts_what_is_good_still_used_or_not_and_says_until_when) {
  EXPECT_EQ(block().count, 0U);
  EXPECT_EQ(block().last_expires_at, std::nullopt);
  ASSERT_TRUE(run(b_->devices.unblock("cam-1")));
  const auto began = clock_.now();
  const auto used = issue(ask_offline("used"));
  cloud_.objects["cam-1/up/used"] = "abc";
  ASSERT_TRUE(report(used.grant_id).verified);
  clock_.advance(minutes(10));
  issue(ask_offline("kept"));
  issue(ask("now"));
  add_device("cam-2");
  issue(ask_offline(), "cam-2");

  EXPECT_EQ(block().count, 3U);
  EXPECT_EQ(block().offline, 2U);
  EXPECT_EQ(block().last_expires_at, began + minutes(70));
  EXPECT_EQ(issue(ask_offline("more")).failure->code(), errc::permission_denied);
  clock_.advance(minutes(2));
  EXPECT_EQ(block().count, 2U) << "the ordinary one is dead";
  clock_.advance(minutes(58));
  EXPECT_EQ(block().count, 0U);
}

}  // namespace
}  // namespace evp::backend
