// What a verifier of the audit's chain finds: each way of changing records.
#include "cli/audit_verifier.h"

#include <gmock/gmock.h>

#include <vector>

#include "base/encoding.h"
#include "base/time.h"

namespace evp::cli {
namespace {

using testing::HasSubstr;

struct audit_verifier_test : testing::Test {
  static audit_record record(std::int64_t number, std::string name) {
    return {.number = number,
            .at = 1795371410000 + number,
            .actor = "admin token",
            .action = "device.create",
            .object_kind = "device",
            .object_name = std::move(name),
            .peer = "127.0.0.1",
            .outcome = "ok",
            .detail = ""};
  }
  static std::string place(const char* name, std::int64_t number, const std::string& raw) {
    return "{\"" + std::string(name) + "\":{\"number\":" + std::to_string(number) + ",\"hash\":\"" + to_hex(raw) +
           "\"}}";
  }
  static std::string line(const audit_record& r, const std::string& raw) {
    return "{\"number\":" + std::to_string(r.number) + ",\"at\":\"" + format_rfc3339(timestamp(milliseconds(r.at))) +
           "\",\"actor\":\"" + r.actor + "\",\"action\":\"" + r.action + "\",\"objectKind\":\"" + r.object_kind +
           "\",\"objectName\":\"" + r.object_name + "\",\"peer\":\"" + r.peer + "\",\"outcome\":\"" + r.outcome +
           "\",\"detail\":\"" + r.detail + "\",\"hash\":\"" + to_hex(raw) + "\"}";
  }
  /// An export of records first to last, which follow others where first is not 1.
  void SetUp() override { lines_ = make(1, 5); }
  std::vector<std::string> make(std::int64_t first, std::int64_t last) {
    std::vector<std::string> out;
    auto hash = audit_chain_start();
    for (std::int64_t n = 1; n <= last; ++n) {
      if (n == first) out.push_back(place("after", n - 1, hash));
      const auto r = record(n, "cam-" + std::to_string(n));
      hash = audit_hash(hash, r);
      hashes_.push_back(to_hex(hash));
      if (n >= first) out.push_back(line(r, hash));
    }
    out.push_back(place("end", last, hash));
    return out;
  }
  result<audit_verifier::verdict> verify(std::optional<chain_place> known = {}, std::size_t piece = 7) {
    std::string all;
    for (const auto& l : lines_) all += l + "\n";
    audit_verifier v(std::move(known));
    for (std::size_t at = 0; at < all.size(); at += piece) CHECK(v.feed(std::string_view(all).substr(at, piece)));
    return v.finish();
  }
  std::string complaint(std::optional<chain_place> known = {}) {
    const auto r = verify(std::move(known));
    return r ? "none" : r.error().message();
  }
  void replace(std::size_t line, std::string_view from, std::string_view to) {
    const auto at = lines_[line].find(from);
    ASSERT_NE(at, std::string::npos);
    lines_[line].replace(at, from.size(), to);
  }

  std::vector<std::string> lines_, hashes_;
};

TEST_F(audit_verifier_test, a_whole_chain_holds_and_tells_what_to_keep) {
  const auto r = verify();
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->records, 5);
  EXPECT_EQ(r->first, 1);
  EXPECT_EQ(r->end.number, 5);
  EXPECT_EQ(r->end.hash, hashes_[4]);
}

TEST_F(audit_verifier_test, what_follows_a_truncation_holds) {
  hashes_.clear();
  lines_ = make(3, 5);
  const auto r = verify();
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->first, 3);
  EXPECT_EQ(r->records, 3);
}

TEST_F(audit_verifier_test, finds_a_changed_record) {
  replace(3, "cam-3", "cam-9");
  EXPECT_THAT(complaint(), HasSubstr("record 3: its hash"));
}

TEST_F(audit_verifier_test, finds_a_changed_record_whose_hash_was_made_to_fit) {
  auto r = record(3, "cam-9");
  lines_[3] = line(r, audit_hash(from_hex(hashes_[1]).value(), r));
  EXPECT_THAT(complaint(), HasSubstr("record 4: its hash"));
}

TEST_F(audit_verifier_test, finds_a_dropped_record) {
  lines_.erase(lines_.begin() + 3);
  EXPECT_THAT(complaint(), HasSubstr("record 4: it comes after 2"));
}

TEST_F(audit_verifier_test, finds_records_dropped_at_the_end) {
  lines_.erase(lines_.begin() + 5);
  EXPECT_THAT(complaint(), HasSubstr("missing at the end"));
}

TEST_F(audit_verifier_test, finds_exchanged_records_even_with_their_numbers_exchanged) {
  std::swap(lines_[2], lines_[3]);
  EXPECT_THAT(complaint(), HasSubstr("record 3: it comes after 1"));
  replace(2, "\"number\":3", "\"number\":2");
  replace(3, "\"number\":2", "\"number\":3");
  EXPECT_THAT(complaint(), HasSubstr("record 2: its hash"));
}

TEST_F(audit_verifier_test, finds_an_inserted_record) {
  auto r = record(3, "cam-x");
  lines_.insert(lines_.begin() + 3, line(r, audit_hash(from_hex(hashes_[1]).value(), r)));
  EXPECT_THAT(complaint(), HasSubstr("record 3: it comes after 3"));
}

TEST_F(audit_verifier_test, finds_an_export_that_is_cut_off) {
  lines_.pop_back();
  EXPECT_THAT(complaint(), HasSubstr("no line of \"end\""));
}

TEST_F(audit_verifier_test, finds_a_chain_that_was_written_anew) {
  EXPECT_EQ(complaint(chain_place{4, hashes_[3]}), "none");
  EXPECT_EQ(complaint(chain_place{5, hashes_[4]}), "none");
  EXPECT_THAT(complaint(chain_place{4, hashes_[2]}), HasSubstr("written anew"));
  EXPECT_THAT(complaint(chain_place{9, hashes_[2]}), HasSubstr("records are missing"));
}

TEST_F(audit_verifier_test, refuses_what_is_no_export_and_lines_without_end) {
  lines_ = {"hello"};
  EXPECT_NE(complaint(), "none");
  lines_ = {place("after", 0, audit_chain_start()), std::string(audit_verifier::max_line_bytes + 100, ' ')};
  EXPECT_THAT(complaint(), HasSubstr("a line of more than"));
  lines_ = {place("after", 0, std::string(32, 'x'))};
  EXPECT_THAT(complaint(), HasSubstr("chained to zeros"));
  EXPECT_FALSE(parse_chain_place("12"));
  EXPECT_FALSE(parse_chain_place("12:ab"));
  EXPECT_TRUE(parse_chain_place("12:" + hashes_[0]));
}

TEST_F(audit_verifier_test, one_tenant_s_part_cannot_be_verified_and_that_is_said) {
  lines_ = {R"({"tenant":"acme","after":0})", R"({"tenant":"acme","end":5})"};
  EXPECT_THAT(complaint(), HasSubstr("one tenant's records"));
}

}  // namespace
}  // namespace evp::cli
