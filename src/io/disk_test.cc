#include "io/disk.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace evp::io {
namespace {

struct posix_disk_test : testing::Test {
  posix_disk_test() {
    char name[] = "/tmp/evp_disk_test_XXXXXX";
    base = ::mkdtemp(name);
    disk = *posix_disk::open(base / "a" / "queue");
  }
  ~posix_disk_test() override { fs::remove_all(base); }
  fs::path base;
  std::unique_ptr<posix_disk> disk;
};

TEST_F(posix_disk_test, appended_bytes_are_read_back_and_survive_opening_the_folder_again) {
  ASSERT_TRUE(disk->create("j"));
  ASSERT_TRUE(disk->append("j", "one"));
  ASSERT_TRUE(disk->sync("j"));
  ASSERT_TRUE(disk->sync_folder());
  disk = *posix_disk::open(base / "a" / "queue");
  ASSERT_TRUE(disk->append("j", "two"));
  EXPECT_EQ(disk->read("j", 100).value(), "onetwo");
  EXPECT_EQ(disk->read("j", 5).error().code(), errc::too_large);
  ASSERT_EQ(disk->list()->size(), 1U);
  EXPECT_EQ(disk->list()->at(0).size, 6U);
}

TEST_F(posix_disk_test, appending_follows_the_file_through_a_rename_and_not_the_name) {
  ASSERT_TRUE(disk->create("old"));
  ASSERT_TRUE(disk->append("old", "old"));
  ASSERT_TRUE(disk->create("new"));
  ASSERT_TRUE(disk->append("new", "new"));
  ASSERT_TRUE(disk->rename("new", "old"));
  ASSERT_TRUE(disk->append("old", "+"));
  EXPECT_EQ(disk->read("old", 100).value(), "new+");
  EXPECT_EQ(disk->append("new", "x").error().code(), errc::not_found);
}

TEST_F(posix_disk_test, truncating_cuts_the_end_and_a_missing_file_counts_as_removed) {
  ASSERT_TRUE(disk->create("j"));
  ASSERT_TRUE(disk->append("j", "12345"));
  ASSERT_TRUE(disk->truncate("j", 2));
  ASSERT_TRUE(disk->append("j", "x"));
  EXPECT_EQ(disk->read("j", 100).value(), "12x");
  EXPECT_TRUE(disk->remove("j"));
  EXPECT_TRUE(disk->remove("j"));
  EXPECT_FALSE(disk->sync("j"));
}

}  // namespace
}  // namespace evp::io
