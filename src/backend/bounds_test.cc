// What a service bounds its uploads by: refused by the storage where it can, found by the backend where it cannot, and
// never silently dropped.
#include "backend/test_world.h"

namespace evp::backend {
namespace {

using storage::bound;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

struct bounds_test : world {
  void SetUp() override { add_device(); }

  saved_service configure(service_bounds b, std::string verify = "") {
    auto in = input();
    in.bounds = std::move(b);
    in.verify = std::move(verify);
    auto saved = run(b_->services.create(std::move(in)));
    EXPECT_TRUE(saved) << saved.error().message();
    return saved.value_or(saved_service{});
  }
  std::string refused_at(service_bounds b, std::string verify = "") {
    auto in = input();
    in.bounds = std::move(b);
    in.verify = std::move(verify);
    const auto saved = run(b_->services.create(std::move(in)));
    return saved ? "accepted" : saved.error().field();
  }
  wire::storage_token_response issue(std::optional<std::uint64_t> size) {
    auto r = ask(std::to_string(++last_));
    r.size = size;
    return run(b_->grants.issue("cam-1", std::move(r), wire::dialect::evp2));
  }
  wire::transfer_report_response report(const std::string& grant, std::uint64_t bytes) {
    return run(b_->grants.report("cam-1", wire::transfer_report{"9", grant, true, 201, bytes, "", ""}));
  }
  upload row(const std::string& grant) { return run(b_->ledger.get(grant)).value(); }
  int last_ = 0;
};

TEST_F(bounds_test, what_the_storage_enforces_is_bound_into_the_grant) {
  cloud_.enforces = {bound::create_only, bound::source_address, bound::size, bound::max_size};
  EXPECT_THAT(configure({true, 500, "192.0.2.0/24"}).warnings, IsEmpty());
  ASSERT_FALSE(issue(7).failure);
  EXPECT_TRUE(cloud_.signs.back().create_only);
  EXPECT_EQ(cloud_.signs.back().source_address, "192.0.2.0/24");
  EXPECT_EQ(cloud_.signs.back().size, 7u);
  EXPECT_EQ(cloud_.signs.back().max_size, std::nullopt) << "the exact size says more";
  ASSERT_FALSE(issue(std::nullopt).failure);
  EXPECT_EQ(cloud_.signs.back().max_size, 500u);
  EXPECT_EQ(b_->services.get("default")->enforcement_of(bound::max_size), enforcement::storage);
}

/// After a lost answer: the device is told 412 by its own object, or by another's.
struct lost_answer_test : bounds_test {
  wire::storage_token_response granted() {
    cloud_.enforces = {bound::create_only};
    configure({true});
    cloud_.modified_at = clock_.now() + seconds(2);
    auto g = issue(3);
    cloud_.objects["cam-1/up/a.jpg"] = "abc";
    return g;
  }
  wire::transfer_report_response exists(const std::string& grant, int status = 412) {
    return run(b_->grants.report("cam-1", wire::transfer_report{"9", grant, true, status, 0, "", ""}));
  }
};

TEST_F(lost_answer_test, an_object_that_only_this_grant_can_have_made_is_a_success) {
  const auto g = granted();
  const auto answer = exists(g.grant_id);
  EXPECT_TRUE(answer.verified) << (answer.failure ? answer.failure->message() : "");
  EXPECT_EQ(row(g.grant_id).state, upload_state::verified);
  EXPECT_EQ(row(g.grant_id).size_bytes, 3u);
}

TEST_F(lost_answer_test, where_nothing_arrived_the_device_may_send_it_on_another_grant) {
  const auto g = granted();
  EXPECT_TRUE(g.create_only);
  cloud_.objects.clear();
  EXPECT_EQ(exists(g.grant_id).failure->code(), errc::already_exists);
  EXPECT_EQ(row(g.grant_id).reason, "the storage has no object of that name");
  EXPECT_FALSE(issue(3).failure);
}

TEST_F(lost_answer_test, an_older_object_is_anothers) {
  const auto g = granted();
  cloud_.modified_at = row(g.grant_id).issued_at - seconds(1);
  EXPECT_EQ(exists(g.grant_id).failure->code(), errc::already_exists);
  EXPECT_EQ(row(g.grant_id).state, upload_state::failed);
}

TEST_F(lost_answer_test, so_is_one_of_unknown_age) {
  const auto g = granted();
  cloud_.modified_at.reset();
  EXPECT_EQ(exists(g.grant_id).failure->code(), errc::already_exists);
}

TEST_F(lost_answer_test, so_is_one_of_another_size) {
  const auto g = granted();
  cloud_.objects["cam-1/up/a.jpg"] = "abcd";
  EXPECT_EQ(exists(g.grant_id).failure->code(), errc::already_exists);
}

TEST_F(lost_answer_test, where_another_grant_was_for_that_name_nobody_can_tell) {
  const auto g = granted();
  const auto second = issue(3);
  EXPECT_EQ(exists(second.grant_id).failure->code(), errc::already_exists);
  EXPECT_EQ(exists(g.grant_id, 409).failure->code(), errc::already_exists);
}

TEST_F(lost_answer_test, a_storage_that_cannot_be_asked_now_is_asked_again) {
  const auto g = granted();
  cloud_.failure = error(errc::unavailable, "503");
  EXPECT_EQ(exists(g.grant_id).failure->code(), errc::unavailable);
  cloud_.failure.reset();
  EXPECT_TRUE(exists(g.grant_id).verified);
}

TEST_F(bounds_test, what_it_does_not_enforce_is_said_and_not_asked_of_it) {
  const auto saved = configure({true, 500, "192.0.2.1"});
  EXPECT_THAT(saved.warnings, Contains(HasSubstr("bounds.createOnly")));
  EXPECT_THAT(saved.warnings, Contains(HasSubstr("bounds.sourceAddress")));
  EXPECT_THAT(saved.warnings, Contains(HasSubstr("the upload is failed")));
  EXPECT_EQ(saved.service.enforcement_of(bound::max_size), enforcement::backend);
  EXPECT_EQ(saved.service.enforcement_of(bound::create_only), enforcement::nobody);
  ASSERT_FALSE(issue(7).failure);
  EXPECT_FALSE(cloud_.signs.back().create_only);
  EXPECT_TRUE(cloud_.signs.back().source_address.empty());
  EXPECT_EQ(cloud_.signs.back().size, std::nullopt);
}

TEST_F(bounds_test, a_bound_that_needs_a_form_is_left_to_the_backend_where_no_form_will_do) {
  cloud_.enforces = {bound::create_only, bound::max_size};
  cloud_.by_form = {bound::max_size};
  EXPECT_EQ(configure({false, 500, ""}).service.enforcement_of(bound::max_size), enforcement::storage);
  ASSERT_FALSE(issue(std::nullopt).failure);
  EXPECT_EQ(cloud_.signs.back().max_size, 500u);
  auto agent = ask("agent", "a.jpg", false);
  ASSERT_FALSE(run(b_->grants.issue("cam-1", agent, wire::dialect::evp2)).failure);
  EXPECT_EQ(cloud_.signs.back().max_size, std::nullopt) << "the public agent sends no forms";

  auto in = input();
  in.bounds = {true, 500, ""};
  const auto saved = run(b_->services.replace("default", in));
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->service.enforcement_of(bound::max_size), enforcement::backend) << "a form cannot create only";
  EXPECT_EQ(saved->service.enforcement_of(bound::create_only), enforcement::storage);
  ASSERT_FALSE(issue(std::nullopt).failure);
  EXPECT_EQ(cloud_.signs.back().max_size, std::nullopt);
  EXPECT_TRUE(cloud_.signs.back().create_only);
}

TEST_F(bounds_test, a_file_declared_too_large_gets_no_grant_and_one_that_is_found_too_large_fails) {
  (void)configure({false, 500, ""});
  const auto refused = issue(501);
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->code(), errc::too_large);
  EXPECT_EQ(refused.failure->field(), "size");

  const auto g = issue(std::nullopt);
  cloud_.objects["cam-1/up/a.jpg"] = std::string(501, 'x');
  const auto answer = report(g.grant_id, 501);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(row(g.grant_id).state, upload_state::failed);
  EXPECT_THAT(row(g.grant_id).reason, HasSubstr("more than the service allows"));

  const auto silent = issue(std::nullopt);
  clock_.advance(seconds(600));
  ASSERT_TRUE(run(b_->grants.sweep_once()));
  EXPECT_EQ(row(silent.grant_id).state, upload_state::failed);
}

TEST_F(bounds_test, without_verification_the_storage_is_not_asked_and_the_ledger_says_so) {
  cloud_.can_stat = false;
  EXPECT_THAT(configure({}, "none").warnings, IsEmpty());
  const auto g = issue(7);
  const auto answer = report(g.grant_id, 7);
  EXPECT_FALSE(answer.failure);
  EXPECT_FALSE(answer.verified) << "nobody has looked";
  EXPECT_EQ(cloud_.stats, 0);
  EXPECT_EQ(row(g.grant_id).state, upload_state::uploaded);
  EXPECT_EQ(row(g.grant_id).verify, verification::none);

  const auto silent = issue(7);
  clock_.advance(seconds(600));
  EXPECT_EQ(run(b_->grants.sweep_once()), std::size_t(1)) << "the reported one is settled already";
  EXPECT_EQ(row(silent.grant_id).state, upload_state::expired);
  EXPECT_EQ(cloud_.stats, 0);
}

TEST_F(bounds_test, credentials_that_cannot_look_are_a_warning_with_the_way_out) {
  cloud_.can_stat = false;
  EXPECT_THAT(configure({}).warnings, Contains(HasSubstr("set verify to none")));
}

TEST_F(bounds_test, bounds_and_verification_survive_a_restart) {
  (void)configure({true, 500, "2001:db8::/32"}, "none");
  reopen();
  const auto s = b_->services.get("default").value();
  EXPECT_TRUE(s.bounds.create_only);
  EXPECT_EQ(s.bounds.max_size, 500u);
  EXPECT_EQ(s.bounds.source_address, "2001:db8::/32");
  EXPECT_EQ(s.verify, verification::none);
}

TEST_F(bounds_test, what_is_no_bound_is_refused_by_its_name) {
  EXPECT_EQ(refused_at({false, 0, ""}), "bounds.maxSize");
  EXPECT_EQ(refused_at({false, std::nullopt, "192.0.2.1/24"}), "bounds.sourceAddress");
  EXPECT_EQ(refused_at({false, std::nullopt, "home"}), "bounds.sourceAddress");
  EXPECT_EQ(refused_at({}, "maybe"), "verify");
}

}  // namespace
}  // namespace evp::backend
