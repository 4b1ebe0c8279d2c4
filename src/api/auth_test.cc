// The admin token: made once, kept private, compared as a whole.
#include "api/auth.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace evp::api {
namespace {

class admin_token : public testing::Test {
 protected:
  void TearDown() override { io::fs::remove(file_); }
  io::fs::path file_ = testing::TempDir() + "admin_token_" + std::to_string(::getpid());
};

TEST_F(admin_token, is_made_once_and_readable_by_its_owner_only) {
  const auto first = open_token_file(file_), second = open_token_file(file_);
  ASSERT_TRUE(first && second);
  EXPECT_GE(first->size(), 40u);
  EXPECT_EQ(*first, *second);
  struct stat st {};
  ASSERT_EQ(::stat(file_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(admin_token, that_others_may_read_is_refused) {
  ASSERT_TRUE(open_token_file(file_));
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  const auto r = open_token_file(file_);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code(), errc::failed_precondition);
}

TEST_F(admin_token, that_is_too_short_or_a_link_is_refused) {
  ASSERT_TRUE(io::write_file_durably(file_, "short\n"));
  EXPECT_FALSE(open_token_file(file_));
  io::fs::remove(file_);
  ASSERT_EQ(::symlink("/etc/hostname", file_.c_str()), 0);
  EXPECT_FALSE(open_token_file(file_));
}

TEST(bearer, only_the_whole_token_in_its_scheme_passes) {
  const bearer_auth auth(secret("abcdefghijklmnop"));
  EXPECT_TRUE(auth.check({{"authorization", "Bearer abcdefghijklmnop"}}));
  EXPECT_TRUE(auth.check({{"Authorization", "bearer abcdefghijklmnop"}}));
  for (const std::string bad : {"", "Bearer", "Bearer ", "Bearer abcdefghijklmno", "Bearer abcdefghijklmnopq",
                                "Basic abcdefghijklmnop", "abcdefghijklmnop"}) {
    const auto r = auth.check({{"Authorization", bad}});
    ASSERT_FALSE(r) << bad;
    EXPECT_EQ(r.error().code(), errc::unauthenticated);
  }
  EXPECT_FALSE(auth.check({}));
}

}  // namespace
}  // namespace evp::api
