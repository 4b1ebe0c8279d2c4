// The journal on a disk that forgets: what append() and rewrite() promise holds wherever the power is cut.
#include "runtime/journal/journal.h"

#include <gmock/gmock.h>

#include <set>

#include "io/forgetful_disk.h"

namespace evp::runtime::journal {
namespace {

using io::forgetful_disk;
using call = forgetful_disk::call;

std::set<std::uint64_t> ids(const std::vector<record>& all) {
  std::set<std::uint64_t> out;
  for (const auto& r : all) out.insert(std::get<forgotten>(r).id);
  return out;
}
std::string one(std::uint64_t id) { return encode(forgotten{id}); }

struct journal_test : testing::Test {
  std::vector<record> reopen(bool power_cut) {
    if (power_cut) disk.power_cut(random);
    j = std::make_unique<journal>(disk);
    auto found = j->open();
    EXPECT_TRUE(found) << found.error().message();
    last = std::move(*found);
    return last.records;
  }
  std::mt19937_64 random{1};
  forgetful_disk disk;
  std::unique_ptr<journal> j = std::make_unique<journal>(disk);
  recovered last;
};

TEST_F(journal_test, a_fresh_folder_has_no_records_and_must_be_written_first) {
  EXPECT_TRUE(reopen(false).empty());
  EXPECT_EQ(j->append(one(1), true).error().code(), errc::failed_precondition);
  ASSERT_TRUE(j->rewrite(one(1)));
  EXPECT_FALSE(j->needs_rewrite());
}

TEST_F(journal_test, what_was_synced_survives_a_power_cut_and_the_rest_is_a_prefix) {
  for (int seed = 0; seed < 200; ++seed) {
    disk = forgetful_disk();
    random.seed(std::uint64_t(seed));
    ASSERT_TRUE(reopen(false).empty());
    ASSERT_TRUE(j->rewrite(one(1)));
    ASSERT_TRUE(j->append(one(2), true));
    ASSERT_TRUE(j->append(one(3), false));
    ASSERT_TRUE(j->append(one(4), false));
    const auto found = ids(reopen(true));
    EXPECT_TRUE(found.contains(1) && found.contains(2)) << "seed " << seed;
    EXPECT_TRUE(last.damaged.empty()) << "seed " << seed;
  }
}

TEST_F(journal_test, a_crash_at_any_step_of_a_rewrite_leaves_the_old_or_the_new_content) {
  for (int step = 0; step < 12; ++step) {
    for (int seed = 0; seed < 30; ++seed) {
      disk = forgetful_disk();
      random.seed(std::uint64_t(seed));
      ASSERT_TRUE(reopen(false).empty());
      ASSERT_TRUE(j->rewrite(one(1)));
      int left = step;
      disk.before = [&](call, const std::string&) -> std::optional<error> {
        if (left-- == 0) throw io::simulated_crash();
        return std::nullopt;
      };
      bool done = false;
      try {
        done = j->rewrite(one(2)).has_value();
      } catch (const io::simulated_crash&) {}
      disk.before = nullptr;
      const auto found = ids(reopen(true));
      if (done) {
        EXPECT_EQ(found, std::set<std::uint64_t>{2}) << "step " << step << " seed " << seed;
      } else {
        EXPECT_EQ(found.size(), 1U) << "step " << step << " seed " << seed;
      }
      EXPECT_LE(disk.list()->size(), 1U);
    }
  }
}

TEST_F(journal_test, after_a_failed_append_only_a_rewrite_goes_on) {
  reopen(false);
  ASSERT_TRUE(j->rewrite(one(1)));
  disk.capacity_bytes = disk.used_bytes() + 5;
  EXPECT_EQ(j->append(one(2), true).error().code(), errc::unavailable);
  EXPECT_TRUE(j->needs_rewrite());
  disk.capacity_bytes = 1 << 20;
  EXPECT_FALSE(j->append(one(3), true));
  ASSERT_TRUE(j->rewrite(one(4)));
  ASSERT_TRUE(j->append(one(5), true));
  EXPECT_EQ(ids(reopen(true)), (std::set<std::uint64_t>{4, 5}));
}

TEST_F(journal_test, a_failed_sync_is_not_believed_when_the_next_one_succeeds) {
  reopen(false);
  ASSERT_TRUE(j->rewrite(one(1)));
  bool failing = true;
  disk.before = [&](call c, const std::string&) -> std::optional<error> {
    if (c == call::sync && failing) return errno_error(EIO, "sync");
    return std::nullopt;
  };
  EXPECT_FALSE(j->append(one(2), true));
  failing = false;
  EXPECT_EQ(j->append(one(3), true).error().code(), errc::failed_precondition);
}

TEST_F(journal_test, damage_in_synced_bytes_is_reported_and_the_file_kept_for_inspection) {
  reopen(false);
  ASSERT_TRUE(j->rewrite(one(1)));
  for (std::uint64_t id = 2; id <= 6; ++id) ASSERT_TRUE(j->append(one(id), true));
  const auto name = disk.list()->at(0).name;
  auto bytes = *disk.read(name, 1 << 20);
  bytes[40] = char(bytes[40] ^ 1);
  ASSERT_TRUE(disk.create(name));
  ASSERT_TRUE(disk.append(name, bytes));
  EXPECT_EQ(reopen(false).size(), 5U);
  EXPECT_EQ(last.damaged.size(), 1U);
  EXPECT_EQ(*disk.read("journal-0000000000000001.damaged", 1 << 20), bytes);
}

TEST_F(journal_test, a_journal_of_the_real_disk_is_read_back) {
  std::string pattern = testing::TempDir() + "journal-XXXXXX";
  const io::fs::path folder = ::mkdtemp(pattern.data());
  auto real = *io::posix_disk::open(folder);
  {
    journal first(*real);
    ASSERT_TRUE(first.open());
    ASSERT_TRUE(first.rewrite(one(1)));
    ASSERT_TRUE(first.append(one(2), true));
    ASSERT_TRUE(first.rewrite(one(3)));
    ASSERT_TRUE(first.append(one(4), true));
  }
  journal again(*real);
  EXPECT_EQ(ids(again.open()->records), (std::set<std::uint64_t>{3, 4}));
  EXPECT_EQ(real->list()->size(), 1U);
  io::fs::remove_all(folder);
}

}  // namespace
}  // namespace evp::runtime::journal
