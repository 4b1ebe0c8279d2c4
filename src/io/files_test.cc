#include "io/files.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>

namespace evp::io {
namespace {

struct files_test : testing::Test {
  files_test() {
    char name[] = "/tmp/evp_files_test_XXXXXX";
    dir = ::mkdtemp(name);
  }
  ~files_test() override { fs::remove_all(dir); }
  fs::path dir;
};

TEST_F(files_test, a_durable_write_replaces_the_file_whole_and_leaves_nothing_else) {
  ASSERT_TRUE(write_file_durably(dir / "f", "old and longer", 0600));
  ASSERT_TRUE(write_file_durably(dir / "f", "new", 0600));
  EXPECT_EQ(read_file(dir / "f", 100).value(), "new");
  struct stat st {};
  ASSERT_EQ(::stat((dir / "f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 1);
}

TEST_F(files_test, reading_is_bounded_and_names_the_file) {
  ASSERT_TRUE(write_file_durably(dir / "f", "12345"));
  EXPECT_EQ(read_file(dir / "f", 5).value(), "12345");
  EXPECT_EQ(read_file(dir / "f", 4).error().code(), errc::too_large);
  EXPECT_EQ(read_file(dir / "none", 4).error().code(), errc::not_found);
}

TEST_F(files_test, directories_are_made_with_their_parents_and_may_exist) {
  ASSERT_TRUE(make_directories(dir / "a/b/c", 0700));
  ASSERT_TRUE(make_directories(dir / "a/b/c", 0700));
  EXPECT_TRUE(fs::is_directory(dir / "a/b/c"));
  ASSERT_TRUE(write_file_durably(dir / "f", ""));
  EXPECT_FALSE(make_directories(dir / "f", 0700));
}

}  // namespace
}  // namespace evp::io
