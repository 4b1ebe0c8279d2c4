// Thousands of seeded scenarios; each checks what the durable queue promises. A failing seed is run again, and told as
// it happens, by: evp_sim_test --seed N
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "world.h"

namespace evp::sim {
namespace {

constexpr std::uint64_t seeds_in_all = 20'000;
constexpr std::uint64_t shards = 4;
constexpr std::uint64_t seeds_for_a_proof = seeds_in_all;

std::string told(const verdict_of_world& v) {
  std::string out;
  for (const auto& what : v.violations) out += "\n  " + what;
  return out;
}

class every_promise_is_kept : public testing::TestWithParam<std::uint64_t> {};

TEST_P(every_promise_is_kept, in_every_seeded_scenario) {
  verdict_of_world sum;
  const auto from = 1 + GetParam() * (seeds_in_all / shards);
  for (auto seed = from; seed < from + seeds_in_all / shards; ++seed) {
    const auto v = run({seed});
    ASSERT_TRUE(v.violations.empty()) << "seed " << seed << told(v) << "\nreplay: evp_sim_test --seed " << seed;
    sum.accepted += v.accepted;
    sum.succeeded += v.succeeded;
    sum.failed += v.failed;
    sum.crashes += v.crashes;
    sum.boundaries += v.boundaries;
    sum.kept_grants += v.kept_grants;
  }
  std::printf(
      "%llu scenarios: %zu operations accepted, %zu succeeded, %zu failed, %zu crashes, %zu actions and disk calls\n",
      static_cast<unsigned long long>(seeds_in_all / shards), sum.accepted, sum.succeeded, sum.failed, sum.crashes,
      sum.boundaries);
  // A world in which nothing happens would prove nothing.
  EXPECT_GT(sum.accepted, 3 * seeds_in_all / shards);
  EXPECT_GT(sum.succeeded, 2 * seeds_in_all / shards);
  EXPECT_GT(2 * sum.crashes, seeds_in_all / shards);
  EXPECT_GT(100 * sum.kept_grants, seeds_in_all / shards);
}

INSTANTIATE_TEST_SUITE_P(shards, every_promise_is_kept, testing::Range<std::uint64_t>(0, shards));

struct sync_case {
  const char* name;
  sync_kind kind;
};
class sync_proof : public testing::TestWithParam<sync_case> {};

TEST_P(sync_proof, without_this_sync_a_promise_is_broken) {
  for (std::uint64_t seed = 1; seed <= seeds_for_a_proof; ++seed) {
    const auto v = run({seed, GetParam().kind, false, true});
    if (v.violations.empty()) continue;
    std::printf("seed %llu:%s\n", static_cast<unsigned long long>(seed), told(v).c_str());
    return;
  }
  FAIL() << "no seed up to " << seeds_for_a_proof << " notices that this sync is missing: is it needed?";
}

INSTANTIATE_TEST_SUITE_P(each, sync_proof,
                         testing::Values(sync_case{"journal_append", sync_kind::journal_append},
                                         sync_case{"journal_rewrite", sync_kind::journal_rewrite},
                                         sync_case{"journal_folder", sync_kind::journal_folder},
                                         sync_case{"recovered_journal", sync_kind::recovered_journal},
                                         sync_case{"recovered_folder", sync_kind::recovered_folder},
                                         sync_case{"spool_file", sync_kind::spool_file},
                                         sync_case{"spool_folder", sync_kind::spool_folder}),
                         [](const auto& p) { return p.param.name; });

TEST(simulation, the_same_seed_gives_the_same_world) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto a = run({seed}), b = run({seed});
    EXPECT_EQ(a.boundaries, b.boundaries);
    EXPECT_EQ(a.accepted, b.accepted);
    EXPECT_EQ(a.crashes, b.crashes);
  }
}

TEST(simulation, promises_are_kept_although_every_run_crashes_soon) {
  for (std::uint64_t seed = 1; seed <= 2'000; ++seed) {
    const auto v = run({seed, sync_kind::none, false, true});
    ASSERT_TRUE(v.violations.empty()) << "seed " << seed << told(v) << "\nreplay: evp_sim_test --restless-seed "
                                      << seed;
  }
}

/// Seeds that have found a defect once.
TEST(simulation, seeds_of_the_past_are_kept) {
  for (const std::uint64_t seed : {874ULL, 5'054ULL, 16'229ULL}) EXPECT_TRUE(run({seed}).violations.empty()) << seed;
}

int replay(std::uint64_t seed, bool restless) {
  scenario s{seed};
  s.verbose = true;
  s.restless = restless;
  const auto v = run(s);
  std::printf("seed %llu: %zu accepted, %zu crashes%s\n", static_cast<unsigned long long>(seed), v.accepted, v.crashes,
              v.violations.empty() ? ", every promise kept" : told(v).c_str());
  return v.violations.empty() ? 0 : 1;
}

}  // namespace
}  // namespace evp::sim

int main(int argc, char** argv) {
  const bool restless = argc == 3 && std::strcmp(argv[1], "--restless-seed") == 0;
  if (restless || (argc == 3 && std::strcmp(argv[1], "--seed") == 0))
    return evp::sim::replay(std::strtoull(argv[2], nullptr, 10), restless);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
