// verify put-checksum: the grant is bound to the file's SHA-256, and nobody asks the storage for the object.
#include "backend/test_world.h"

namespace evp::backend {
namespace {

using storage::bound;
using testing::HasSubstr;

const std::string digest(64, 'a');

struct checksum_test : world {
  checksum_test() {
    cloud_.enforces = {bound::sha256, bound::size};
    cloud_.can_stat = false;
  }
  void SetUp() override {
    add_device();
    auto in = input();
    in.verify = "put-checksum";
    const auto saved = run(b_->services.create(std::move(in)));
    ASSERT_TRUE(saved) << saved.error().message();
    EXPECT_TRUE(saved->warnings.empty());
    cloud_.signs.clear();
  }
  wire::storage_token_request request(std::optional<std::string> sha256, std::uint64_t size = 7) {
    auto r = ask(std::to_string(++last_));
    r.accept = {"certificate/1", "report/1", "plan/1", "sha256/1"};
    r.size = size;
    r.sha256 = std::move(sha256);
    return r;
  }
  wire::storage_token_response issue(wire::storage_token_request r) {
    return run(b_->grants.issue("cam-1", std::move(r), wire::dialect::evp2));
  }
  wire::transfer_report_response report(const std::string& grant, std::uint64_t bytes, std::string sha256 = digest,
                                        int status = 200) {
    return run(b_->grants.report("cam-1", wire::transfer_report{"9", grant, true, status, bytes, sha256, ""}));
  }
  upload row(const std::string& grant) { return run(b_->ledger.get(grant)).value(); }
  int last_ = 0;
};

TEST_F(checksum_test, the_grant_is_bound_to_the_checksum_and_the_storages_success_settles_it) {
  const auto g = issue(request(digest));
  ASSERT_FALSE(g.failure) << g.failure->message();
  EXPECT_EQ(cloud_.signs.back().sha256, digest);
  EXPECT_EQ(row(g.grant_id).sha256, digest) << "known before the report";
  const auto answer = report(g.grant_id, 7);
  EXPECT_TRUE(answer.verified);
  EXPECT_EQ(row(g.grant_id).state, upload_state::verified);
  EXPECT_EQ(row(g.grant_id).verify, verification::put_checksum);
  EXPECT_EQ(row(g.grant_id).size_bytes, 7u);
  EXPECT_EQ(cloud_.stats, 0);
  EXPECT_TRUE(report(g.grant_id, 7).verified) << "reports may be repeated";
}

TEST_F(checksum_test, a_device_that_can_hash_is_told_to_and_leaves_no_row) {
  const auto refused = issue(request(std::nullopt));
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->code(), errc::checksum_required);
  EXPECT_EQ(refused.failure->field(), "sha256");
  EXPECT_TRUE(cloud_.signs.empty());
  EXPECT_TRUE(run(b_->ledger.list({}, {.limit = 10}))->items.empty());
}

TEST_F(checksum_test,
       an_agent_that_knows_no_checksum_uploads_all_the_same_and_the_ledger_says_that_nothing_was_checked) {
  const auto g = issue(ask("77", "a.jpg", false));
  ASSERT_FALSE(g.failure);
  EXPECT_TRUE(cloud_.signs.back().sha256.empty());
  const auto rows = run(b_->ledger.list({}, {.limit = 10}))->items;
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].verify, verification::none);
}

TEST_F(checksum_test, a_report_that_does_not_fit_what_was_bound_fails_the_upload) {
  struct {
    std::uint64_t bytes;
    std::string sha256;
    int status;
    const char* reason;
  } const cases[] = {{7, std::string(64, 'b'), 200, "other bytes"},
                     {8, digest, 200, "not the 7 that it declared"},
                     {7, digest, 0, "HTTP status 0"},
                     {7, digest, 403, "HTTP status 403"}};
  for (const auto& c : cases) {
    const auto g = issue(request(digest));
    const auto answer = report(g.grant_id, c.bytes, c.sha256, c.status);
    ASSERT_TRUE(answer.failure) << c.reason;
    EXPECT_EQ(answer.failure->code(), errc::data_corrupt);
    EXPECT_EQ(row(g.grant_id).state, upload_state::failed);
    EXPECT_THAT(row(g.grant_id).reason, HasSubstr(c.reason));
  }
}

TEST_F(checksum_test, a_large_file_goes_in_one_piece_since_no_part_could_carry_the_checksum) {
  cloud_.takes_parts = true;
  cloud_.max_put_bytes = 5ULL << 30;
  const auto g = issue(request(digest, 1ULL << 30));
  ASSERT_FALSE(g.failure);
  EXPECT_FALSE(g.plan);
  const auto beyond = issue(request(digest, (5ULL << 30) + 1));
  ASSERT_TRUE(beyond.failure);
  EXPECT_EQ(beyond.failure->code(), errc::too_large);
  EXPECT_THAT(beyond.failure->message(), HasSubstr("with verify head it takes more"));
}

TEST_F(checksum_test, a_download_needs_no_checksum) {
  auto r = request(std::nullopt);
  r.operation = wire::blob_operation::get;
  const auto g = issue(std::move(r));
  ASSERT_FALSE(g.failure);
  EXPECT_TRUE(cloud_.signs.back().sha256.empty());
}

TEST_F(checksum_test, a_grant_without_a_report_expires_and_the_storage_is_not_asked) {
  const auto g = issue(request(digest));
  clock_.advance(seconds(600));
  EXPECT_EQ(run(b_->grants.sweep_once()), std::size_t(1));
  EXPECT_EQ(row(g.grant_id).state, upload_state::expired);
  EXPECT_EQ(cloud_.stats, 0);
}

TEST_F(checksum_test, the_service_test_writes_and_removes_and_does_not_look) {
  const auto outcome = run(b_->services.test("default"));
  ASSERT_TRUE(outcome);
  std::vector<std::string> names;
  for (const auto& s : outcome->steps) names.push_back(s.name);
  EXPECT_EQ(names, (std::vector<std::string>{"prepare", "put", "remove"}));
}

TEST_F(checksum_test, it_survives_a_restart) {
  const auto g = issue(request(digest));
  reopen();
  EXPECT_EQ(b_->services.get("default")->verify, verification::put_checksum);
  EXPECT_TRUE(report(g.grant_id, 7).verified);
}

TEST_F(checksum_test, a_storage_that_cannot_bind_it_is_refused_with_what_to_use_instead) {
  cloud_.enforces = {bound::size};
  auto in = input("other");
  in.verify = "put-checksum";
  const auto saved = run(b_->services.create(std::move(in)));
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code(), errc::invalid_argument);
  EXPECT_EQ(saved.error().field(), "verify");
  EXPECT_THAT(saved.error().message(), HasSubstr("FAKE as configured does not: use head"));
}

}  // namespace
}  // namespace evp::backend
