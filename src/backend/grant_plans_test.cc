// Uploads in parts, from the grant to the check, on a storage that the test steers.
#include "backend/test_world.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t mib = 1 << 20;

struct plans_test : world {
  void SetUp() override {
    cloud_.takes_parts = true;
    cloud_.max_put_bytes = 16 * mib;
    limits_.parts_above = 16 * mib;
    limits_.answer_within = milliseconds(300);
    reopen();
    add_default_service();
    add_device();
  }
  wire::storage_token_response issue(std::uint64_t size, std::vector<std::string> accept = {"plan/1", "report/1"}) {
    auto r = ask(std::to_string(++last_), "big.bin");
    r.size = size;
    r.accept = std::move(accept);
    return run(b_->grants.issue("cam-1", std::move(r), wire::dialect::evp2));
  }
  wire::grant_renew_response renew(const std::string& grant, unsigned first, unsigned last,
                                   std::string device = "cam-1") {
    wire::grant_renew_request r{"5", grant, first, last};
    return run(b_->grants.renew(std::move(device), std::move(r)));
  }
  wire::transfer_report_response report(const std::string& grant, std::uint64_t bytes, bool done = true) {
    wire::transfer_report r{"9", grant, done, done ? 200 : 500, bytes, "", done ? "" : "gave up"};
    return run(b_->grants.report("cam-1", std::move(r)));
  }
  upload row(const std::string& grant) { return run(b_->ledger.get(grant)).value(); }
  /// As if the device had sent these parts of the only upload.
  void arrive(std::vector<std::uint64_t> sizes) {
    auto& parts = cloud_.parts.begin()->second;
    for (std::size_t i = 0; i < sizes.size(); ++i) parts[unsigned(i + 1)] = sizes[i];
  }
  int last_ = 0;
};

TEST_F(plans_test, a_large_file_goes_in_parts_where_device_and_storage_can) {
  const auto g = issue(20 * mib);
  ASSERT_TRUE(g.plan);
  EXPECT_TRUE(g.url.empty());
  EXPECT_EQ(g.plan->part_bytes, 8 * mib);
  EXPECT_EQ(g.plan->part_count, 3u);
  ASSERT_EQ(g.plan->parts.size(), 3u);
  EXPECT_EQ(g.plan->parts[2].offset, 16 * mib);
  EXPECT_EQ(g.plan->parts[2].length, 4 * mib);
  EXPECT_EQ(g.expires_in, milliseconds(120'000));
  const auto r = row(g.grant_id);
  EXPECT_EQ(r.part_bytes, 8 * mib);
  EXPECT_FALSE(r.parts_id.empty());
  EXPECT_GT(r.expires_at, clock_.now() + std::chrono::hours(23)) << "an upload in parts outlives its signatures";

  EXPECT_FALSE(issue(16 * mib).plan);
  EXPECT_FALSE(issue(20 * mib, {"report/1"}).plan) << "this device knows no plans";
  cloud_.takes_parts = false;
  const auto whole = issue(20 * mib);
  ASSERT_TRUE(whole.failure);
  EXPECT_EQ(whole.failure->code(), errc::too_large);
}

TEST_F(plans_test, a_storage_that_keeps_no_parts_apart_tells_one_of_all_bytes) {
  const auto g = issue(20 * mib);
  ASSERT_TRUE(g.plan);
  arrive({16 * mib});
  EXPECT_EQ(report(g.grant_id, 20 * mib).failure->code(), errc::data_corrupt) << "something is missing";
  const auto other = issue(20 * mib);
  cloud_.parts.clear();
  cloud_.parts[row(other.grant_id).parts_id][1] = 20 * mib;
  const auto r = report(other.grant_id, 20 * mib);
  ASSERT_FALSE(r.failure) << r.failure->message();
  EXPECT_TRUE(r.verified);
}

TEST_F(plans_test, a_page_is_short_where_each_signature_takes_long) {
  cloud_.on_sign_part = [&] { clock_.advance(milliseconds(400)); };
  const auto g = issue(160 * mib);
  ASSERT_TRUE(g.plan);
  EXPECT_EQ(g.plan->part_count, 20u);
  EXPECT_EQ(g.plan->parts.size(), 4u);
  EXPECT_EQ(renew(g.grant_id, 5, 20).parts.size(), 4u);
}

TEST_F(plans_test, a_storage_that_wants_parts_in_order_gets_one_at_a_time) {
  EXPECT_GT(issue(20 * mib).plan->parallel, 1u);
  cloud_.parts_in_order = true;
  EXPECT_EQ(issue(20 * mib).plan->parallel, 1u);
}

TEST_F(plans_test, an_upload_that_is_no_plain_put_is_a_plan_of_one_part) {
  cloud_.grant.emplace();
  cloud_.grant->method = "POST";
  cloud_.grant->body_prefix = secret("form ");
  const auto g = issue(7);
  ASSERT_TRUE(g.plan);
  EXPECT_TRUE(g.url.empty());
  EXPECT_EQ(g.plan->part_count, 1u);
  EXPECT_EQ(g.plan->part_bytes, 7u);
  const auto& part = g.plan->parts.at(0);
  EXPECT_EQ(part.method, "POST");
  EXPECT_EQ(part.length, 7u);
  EXPECT_EQ(part.body_prefix.reveal(), "form ");
  EXPECT_THAT(part.url.reveal(), HasSubstr("https://storage.example/cam-1/up/big.bin"));
  EXPECT_EQ(g.expires_in, milliseconds(120'000));
  cloud_.objects["cam-1/up/big.bin"] = "seven b";
  EXPECT_TRUE(report(g.grant_id, 7).verified);

  EXPECT_EQ(issue(0).plan->part_bytes, 1u) << "an empty file has one part too";
  EXPECT_EQ(renew(g.grant_id, 1, 1).failure->code(), errc::not_found) << "asked for anew instead";
  EXPECT_EQ(issue(7, {"report/1"}).failure->code(), errc::unsupported);
  auto unsized = ask("77", "big.bin");
  unsized.accept = {"plan/1"};
  EXPECT_EQ(run(b_->grants.issue("cam-1", unsized, wire::dialect::evp2)).failure->field(), "size");
  auto download = ask("78", "big.bin");
  download.operation = wire::blob_operation::get;
  cloud_.grant.reset();
  EXPECT_FALSE(run(b_->grants.issue("cam-1", download, wire::dialect::evp2)).plan);
}

TEST_F(plans_test, a_bound_that_no_part_can_carry_keeps_a_file_in_one_piece) {
  auto bounded = input();
  bounded.bounds.create_only = true;
  ASSERT_TRUE(run(b_->services.replace("default", bounded)));
  const auto g = issue(20 * mib);
  ASSERT_TRUE(g.failure) << "more than the storage takes in one piece";
  EXPECT_EQ(g.failure->code(), errc::too_large);
  bounded.bounds = {};
  bounded.bounds.source_address = "192.0.2.1";
  ASSERT_TRUE(run(b_->services.replace("default", bounded)));
  EXPECT_EQ(issue(20 * mib).failure->code(), errc::too_large);
}

TEST_F(plans_test, a_file_of_many_parts_is_signed_page_by_page) {
  const auto g = issue(1000 * 8 * mib);
  ASSERT_TRUE(g.plan);
  EXPECT_EQ(g.plan->part_count, 1000u);
  EXPECT_EQ(g.plan->parts.size(), wire::max_page_parts);
  EXPECT_LT(wire::encode(wire::dialect::evp2, wire::hub_response(g)).size(), wire::max_message_bytes);
  const auto next = renew(g.grant_id, 65, 1000);
  ASSERT_FALSE(next.failure);
  EXPECT_EQ(next.parts.front().number, 65u);
  EXPECT_EQ(next.parts.size(), wire::max_page_parts);
  EXPECT_EQ(renew(g.grant_id, 1000, 1001).failure->code(), errc::invalid_argument);
}

TEST_F(plans_test, a_file_too_large_for_any_number_of_parts_is_refused) {
  const auto g = issue(10'001 * (5ULL << 30));
  ASSERT_TRUE(g.failure);
  EXPECT_EQ(g.failure->code(), errc::too_large);
  EXPECT_THAT(cloud_.parts, IsEmpty());
}

TEST_F(plans_test, once_all_parts_are_there_they_become_the_object_and_it_is_verified) {
  const auto g = issue(20 * mib);
  arrive({8 * mib, 8 * mib, 4 * mib});
  const auto answer = report(g.grant_id, 20 * mib);
  EXPECT_TRUE(answer.verified);
  EXPECT_EQ(row(g.grant_id).state, upload_state::verified);
  EXPECT_TRUE(report(g.grant_id, 20 * mib).verified) << "a repeated report";
  EXPECT_EQ(cloud_.commits, 1);
}

TEST_F(plans_test, a_part_that_is_missing_or_cut_fails_the_upload_and_drops_the_rest) {
  const auto g = issue(20 * mib);
  arrive({8 * mib, 7 * mib, 4 * mib});
  const auto answer = report(g.grant_id, 20 * mib);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code(), errc::data_corrupt);
  EXPECT_THAT(answer.failure->message(), HasSubstr("part 2 of 3"));
  EXPECT_EQ(row(g.grant_id).state, upload_state::failed);
  EXPECT_THAT(cloud_.parts, IsEmpty());
  EXPECT_EQ(cloud_.commits, 0);

  const auto other = issue(20 * mib);
  arrive({8 * mib, 8 * mib});
  EXPECT_THAT(report(other.grant_id, 20 * mib).failure->message(), HasSubstr("part 3 of 3 has not arrived"));
}

TEST_F(plans_test, a_commit_that_takes_long_is_asked_about_again_and_happens_once) {
  cloud_.commit_delay = milliseconds(700);
  const auto g = issue(20 * mib);
  arrive({8 * mib, 8 * mib, 4 * mib});
  const auto early = report(g.grant_id, 20 * mib);
  ASSERT_TRUE(early.failure);
  EXPECT_TRUE(early.failure->retry_after());
  EXPECT_EQ(row(g.grant_id).state, upload_state::uploaded);
  bool verified = false;
  for (int i = 0; i < 20 && !verified; ++i) verified = report(g.grant_id, 20 * mib).verified;
  EXPECT_TRUE(verified);
  EXPECT_EQ(cloud_.commits, 1);
}

TEST_F(plans_test, an_upload_that_the_storage_has_lost_is_no_success_even_where_nobody_looks) {
  auto in = input();
  in.verify = "none";
  ASSERT_TRUE(run(b_->services.replace("default", in)));
  const auto lost = issue(20 * mib);
  cloud_.parts.clear();
  EXPECT_EQ(report(lost.grant_id, 20 * mib).failure->code(), errc::data_corrupt);
  EXPECT_EQ(row(lost.grant_id).state, upload_state::failed);
  EXPECT_THAT(row(lost.grant_id).reason, HasSubstr("neither"));

  const auto committed = issue(20 * mib);  // and the answer to the commit was lost
  cloud_.parts.clear();
  cloud_.objects["cam-1/up/big.bin"] = "x";
  EXPECT_FALSE(report(committed.grant_id, 20 * mib).failure);
  EXPECT_EQ(row(committed.grant_id).state, upload_state::uploaded);
}

TEST_F(plans_test, a_commit_that_another_overtakes_is_a_success_if_the_object_is_there) {
  const auto g = issue(20 * mib);
  arrive({8 * mib, 8 * mib, 4 * mib});
  cloud_.committed_meanwhile = std::string(20 * mib, 'x');
  EXPECT_TRUE(report(g.grant_id, 20 * mib).verified);
  EXPECT_EQ(row(g.grant_id).state, upload_state::verified);
}

TEST_F(plans_test, a_device_that_gives_up_leaves_nothing_behind) {
  const auto g = issue(20 * mib);
  arrive({8 * mib});
  EXPECT_FALSE(report(g.grant_id, 0, false).failure);
  EXPECT_EQ(row(g.grant_id).state, upload_state::failed);
  EXPECT_THAT(cloud_.parts, IsEmpty());
  EXPECT_EQ(renew(g.grant_id, 1, 1).failure->code(), errc::not_found);
}

TEST_F(plans_test, parts_are_renewed_only_for_the_device_that_asked_while_it_is_active) {
  add_device("cam-2");
  const auto g = issue(20 * mib);
  EXPECT_EQ(renew(g.grant_id, 1, 3, "cam-2").failure->code(), errc::not_found);
  const auto whole = issue(mib);
  EXPECT_EQ(renew(whole.grant_id, 1, 1).failure->code(), errc::not_found) << "no upload in parts";
  ASSERT_TRUE(run(b_->devices.block("cam-1")));
  EXPECT_EQ(renew(g.grant_id, 1, 3).failure->code(), errc::permission_denied);
}

TEST_F(plans_test, a_forgotten_upload_is_dropped_after_its_life_and_a_renewal_prolongs_that) {
  const auto g = issue(20 * mib);
  clock_.advance(std::chrono::hours(23));
  ASSERT_FALSE(renew(g.grant_id, 1, 3).failure);
  clock_.advance(std::chrono::hours(23));
  ASSERT_EQ(run(b_->grants.sweep_once()), std::size_t(0));
  EXPECT_EQ(cloud_.parts.size(), 1u);
  clock_.advance(std::chrono::hours(2));
  ASSERT_EQ(run(b_->grants.sweep_once()), std::size_t(1));
  EXPECT_EQ(row(g.grant_id).state, upload_state::expired);
  EXPECT_THAT(cloud_.parts, IsEmpty());
}

}  // namespace
}  // namespace evp::backend
