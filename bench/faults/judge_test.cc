// What evp-faults takes for an offence, and what it does not.
#include "judge.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "io/test_folder.h"

namespace evp::bench {
namespace {

class judge_test : public testing::Test {
 protected:
  /// The verdict on these records, where objects are right and verified unless a test said otherwise.
  verdict of(const std::string& lines) {
    std::ofstream(folder_.path() / "records") << lines;
    record_reader reader(folder_.path() / "records");
    const auto& r = reader.read();
    for (const auto& [object, number] : successes(r)) {
      objects_.emplace(object, object_state::right);
      if (!ledger_.contains(object)) ledger_[object] = {"expired", "verified"};
    }
    return judge(r, objects_, ledger_);
  }
  static unsigned offences(const verdict& v) { return v.lost + v.corrupt + v.doubled; }

  io::temporary_folder folder_;
  object_states objects_;
  ledger_states ledger_;
};

TEST_F(judge_test, a_success_that_is_stored_and_verified_is_none) {
  const auto v = of("life\nasking 0 1\naccepted 0 1 7\ntold 0 1 7 own 0 200 0\n");
  EXPECT_EQ(offences(v), 0U);
  EXPECT_EQ(v.succeeded, 1U);
}

TEST_F(judge_test, an_accepted_file_without_an_outcome_is_lost) {
  EXPECT_EQ(of("life\nasking 0 1\naccepted 0 1 7\n").lost, 1U);
}

TEST_F(judge_test, a_success_without_its_object_is_lost_and_one_with_other_bytes_is_corrupt) {
  objects_[object_of({0, 1})] = object_state::missing;
  objects_[object_of({1, 1})] = object_state::wrong;
  const auto v = of("life\naccepted 0 1 7\ntold 0 1 7 own 0 200 0\naccepted 1 1 8\ntold 1 1 8 own 0 200 0\n");
  EXPECT_EQ(v.lost, 1U);
  EXPECT_EQ(v.corrupt, 1U);
}

TEST_F(judge_test, the_same_outcome_in_a_later_life_is_told_again_and_no_offence) {
  const auto v = of("life\naccepted 0 1 7\ntold 0 1 7 own 0 200 0\nlife\ntold 0 1 7 later 0 200 0\n");
  EXPECT_EQ(offences(v), 0U);
  EXPECT_EQ(v.told_again, 1U);
}

TEST_F(judge_test, twice_in_one_life_is_doubled) {
  EXPECT_EQ(of("life\naccepted 0 1 7\ntold 0 1 7 own 0 200 0\ntold 0 1 7 later 0 200 0\n").doubled, 1U);
}

TEST_F(judge_test, outcomes_that_differ_are_doubled) {
  EXPECT_EQ(of("life\naccepted 0 1 7\ntold 0 1 7 own 1 0 5\nlife\ntold 0 1 7 later 0 200 0\n").doubled, 1U);
}

TEST_F(judge_test, a_refused_file_that_is_carried_out_is_doubled) {
  EXPECT_EQ(of("life\nrefused 0 1 5\ntold 0 1 7 later 0 200 0\n").doubled, 1U);
}

TEST_F(judge_test, one_id_for_two_files_is_doubled) {
  EXPECT_EQ(of("life\naccepted 0 1 7\ntold 0 1 7 own 0 200 0\naccepted 1 1 7\ntold 1 1 7 own 0 200 0\n").doubled, 1U);
}

TEST_F(judge_test, what_the_ledger_contradicts_is_doubled) {
  ledger_[object_of({0, 1})] = {"verified"};
  ledger_[object_of({1, 1})] = {"failed"};
  EXPECT_EQ(of("life\naccepted 0 1 7\ntold 0 1 7 own 1 0 5\naccepted 1 1 8\ntold 1 1 8 own 0 200 0\n").doubled, 2U);
}

TEST_F(judge_test, a_file_that_was_taken_while_the_module_died_is_none) {
  const auto v = of("life\nasking 0 1\nlife\ntold 0 1 7 later 0 200 0\n");
  EXPECT_EQ(offences(v), 0U);
  EXPECT_EQ(v.unrecorded, 1U);
}

}  // namespace
}  // namespace evp::bench
