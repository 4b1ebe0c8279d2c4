#include "runtime/sdk_server/workspace.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

namespace evp::runtime::socket {
namespace {

class workspace_test : public testing::Test {
 protected:
  workspace_test() {
    char name[] = "/tmp/evp-workspace-XXXXXX";
    base_ = ::mkdtemp(name);
    root_ = base_ / "default_workspace";
    io::fs::create_directories(root_ / "sub");
    std::ofstream(root_ / "a.bin") << "12345";
    std::ofstream(base_ / "secret") << "key";
    io::fs::create_symlink(base_ / "secret", root_ / "link");
    io::fs::create_directory_symlink(base_, root_ / "up");
  }
  ~workspace_test() override { io::fs::remove_all(base_); }

  workspace open(std::optional<uid_t> owner = {}) { return *workspace::open(root_.string(), owner); }
  int source_error(const std::string& path) { return open().open_source(path).error().error; }
  int target_error(const std::string& path) { return open().open_target(path).error().error; }

  io::fs::path base_, root_;
};

TEST_F(workspace_test, a_regular_file_in_the_workspace_may_be_read) {
  EXPECT_EQ(open().open_source((root_ / "a.bin").string())->size, 5u);
}

TEST_F(workspace_test, whatever_leads_out_of_the_workspace_is_refused_with_the_public_agents_errno) {
  const auto w = root_.string();
  EXPECT_EQ(source_error((base_ / "secret").string()), EPERM);
  EXPECT_EQ(source_error(w + "/../secret"), EPERM);
  EXPECT_EQ(source_error(w + "/sub/../../secret"), EPERM);
  EXPECT_EQ(source_error(w + "_other/a.bin"), EPERM);
  EXPECT_EQ(source_error("a.bin"), EPERM);
  EXPECT_EQ(source_error(""), EPERM);
  EXPECT_EQ(source_error(w + "//a.bin"), EPERM);
  EXPECT_EQ(source_error(w + "/a.bin/"), EPERM);
  EXPECT_EQ(source_error(w + "/./a.bin"), EPERM);
  EXPECT_EQ(source_error(w + "/a.bin" + std::string("\0x", 2)), EPERM);
  EXPECT_EQ(source_error(w + "/link"), ELOOP);
  EXPECT_EQ(source_error(w + "/up/secret"), ELOOP);
  EXPECT_EQ(source_error(w + "/none"), ENOENT);
}

TEST_F(workspace_test, only_regular_files_may_be_read_and_a_fifo_does_not_block) {
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(source_error((root_ / "fifo").string()), EPERM);
  EXPECT_EQ(source_error((root_ / "sub").string()), EPERM);
}

TEST_F(workspace_test, a_hard_link_to_a_file_of_another_user_is_refused) {
  io::fs::create_hard_link(base_ / "secret", root_ / "hard");
  EXPECT_EQ(open(::geteuid() + 1).open_source((root_ / "hard").string()).error().error, EPERM);
  EXPECT_TRUE(open(::geteuid()).open_source((root_ / "hard").string()));
}

TEST_F(workspace_test, a_target_is_a_name_in_an_existing_folder_of_the_workspace) {
  const auto t = open().open_target((root_ / "sub/new.bin").string());
  ASSERT_TRUE(t);
  EXPECT_EQ(t->name, "new.bin");
  struct stat a {
  }, b{};
  ASSERT_EQ(::fstat(t->folder->get(), &a), 0);
  ASSERT_EQ(::stat((root_ / "sub").c_str(), &b), 0);
  EXPECT_EQ(a.st_ino, b.st_ino);
  EXPECT_EQ(target_error((root_ / "link").string()), ELOOP);
  EXPECT_EQ(target_error((root_ / "up/new").string()), ELOOP);
  EXPECT_EQ(target_error((root_ / "none/new").string()), ENOENT);
  EXPECT_EQ(target_error((root_ / "sub").string()), EISDIR);
  EXPECT_EQ(target_error((root_ / "../x").string()), EPERM);
}

}  // namespace
}  // namespace evp::runtime::socket
