#include "base/audit_chain.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace evp {
namespace {

audit_record example() {
  return {.number = 1,
          .at = 1795371410000,
          .actor = "admin token",
          .action = "device.create",
          .object_kind = "device",
          .object_name = "cam-1",
          .peer = "127.0.0.1",
          .outcome = "ok",
          .detail = ""};
}

// Computed by the Python program in docs/audit.md, which knows the document only.
TEST(audit_chain_test, a_record_s_hash_is_that_of_the_document) {
  EXPECT_EQ(to_hex(audit_hash(audit_chain_start(), example())),
            "a7e91e1aea66bca79501205d53df84e1cd4583bcf38d2db8a1470f32259c0e78");
}

TEST(audit_chain_test, every_field_counts) {
  const auto base = audit_hash(audit_chain_start(), example());
  std::vector<audit_record> others(9, example());
  others[0].number = 2;
  others[1].at += 1;
  others[2].actor += "x";
  others[3].action += "x";
  others[4].object_kind += "x";
  others[5].object_name += "x";
  others[6].peer += "x";
  others[7].outcome += "x";
  others[8].detail += "x";
  for (const auto& o : others) EXPECT_NE(audit_hash(audit_chain_start(), o), base);
  EXPECT_NE(audit_hash(base, example()), base);
}

TEST(audit_chain_test, bytes_that_move_from_one_field_to_the_next_change_the_hash) {
  auto a = example(), b = example();
  a.object_kind = "device", a.object_name = "cam-1";
  b.object_kind = "devicecam", b.object_name = "-1";
  EXPECT_NE(audit_hash(audit_chain_start(), a), audit_hash(audit_chain_start(), b));
}

}  // namespace
}  // namespace evp
