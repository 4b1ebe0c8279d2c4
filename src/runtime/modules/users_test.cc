#include "runtime/modules/users.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

namespace evp::runtime {
namespace {

class users_test : public testing::Test {
 protected:
  users_test() {
    if (::geteuid() != 0) return;
    char name[] = "/tmp/evp-users-XXXXXX";
    o_.data = ::mkdtemp(name);
    o_.first_user = 64200, o_.last_user = 64201;
    EXPECT_TRUE(prepare_data_folder(o_));
  }
  ~users_test() override {
    if (!o_.data.empty()) io::fs::remove_all(o_.data);
  }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  instances_options o_;
};

TEST_F(users_test, each_instance_gets_the_lowest_free_user_and_keeps_it) {
  EXPECT_EQ(place_instance(o_, "a")->user, 64200u);
  EXPECT_EQ(place_instance(o_, "b")->user, 64201u);
  EXPECT_EQ(place_instance(o_, "a")->user, 64200u);
  EXPECT_EQ(place_instance(o_, "c").error().code(), errc::too_large);
  remove_instance(o_, "a");
  EXPECT_EQ(place_instance(o_, "c")->user, 64200u);
}

TEST_F(users_test, folders_can_be_passed_through_but_not_listed_and_workspaces_are_private) {
  const auto p = *place_instance(o_, "a");
  const auto mode = [](const io::fs::path& path) {
    struct stat st {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0);
    return st.st_mode & 07777;
  };
  EXPECT_EQ(mode(o_.data), 0711u);
  EXPECT_EQ(mode(o_.data / "instances"), 0711u);
  EXPECT_EQ(mode(p.folder), 0710u);
  EXPECT_EQ(mode(p.workspace), 0700u);
}

TEST_F(users_test, a_symlink_in_the_place_of_a_workspace_is_refused) {
  ASSERT_TRUE(place_instance(o_, "a"));
  io::fs::remove(o_.data / "instances/a/default_workspace");
  io::fs::create_directory_symlink("/etc", o_.data / "instances/a/default_workspace");
  EXPECT_EQ(place_instance(o_, "a").error().code(), errc::failed_precondition);
}

}  // namespace
}  // namespace evp::runtime
