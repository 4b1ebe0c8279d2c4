#include "backend/sealing.h"

#include <sys/stat.h>

#include "base/crypto.h"
#include "sql/test_database.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;
using testing::Not;

struct sealing : testing::Test {
  sql::temporary_folder folder;
  io::fs::path file = folder.path() / "master.key";
};

TEST_F(sealing, a_sealed_secret_opens_after_a_restart_and_shows_nothing) {
  const auto text = sealer::open(master_key_source::file(file))->seal(secret("AccountKey=abc"), "service s option key");
  EXPECT_THAT(text, Not(HasSubstr("abc")));
  EXPECT_EQ(sealer::open(master_key_source::file(file))->open_sealed(text, "service s option key")->reveal(),
            "AccountKey=abc");
}

TEST_F(sealing, the_same_secret_is_sealed_differently_each_time) {
  const auto s = sealer::open(master_key_source::file(file)).value();
  EXPECT_NE(s.seal(secret("x"), "c"), s.seal(secret("x"), "c"));
}

TEST_F(sealing, another_context_another_key_and_changed_text_are_refused) {
  const auto s = sealer::open(master_key_source::file(file)).value();
  auto text = s.seal(secret("x"), "here");
  EXPECT_EQ(s.open_sealed(text, "there").error().code(), errc::data_corrupt);
  EXPECT_EQ(sealer({secret(std::string(32, 'k'))}).open_sealed(text, "here").error().code(), errc::data_corrupt);
  text[text.size() - 6] = text[text.size() - 6] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(s.open_sealed(text, "here"));
  EXPECT_FALSE(s.open_sealed("v1.x", "here"));
  EXPECT_FALSE(s.open_sealed("", "here"));
}

TEST_F(sealing, the_key_file_is_made_for_its_owner_alone) {
  ASSERT_TRUE(sealer::open(master_key_source::file(file)));
  struct stat st {};
  ASSERT_EQ(::stat(file.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(sealing, a_key_file_that_others_can_read_is_refused_with_the_remedy) {
  ASSERT_TRUE(sealer::open(master_key_source::file(file)));
  ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
  const auto r = sealer::open(master_key_source::file(file));
  EXPECT_EQ(r.error().code(), errc::failed_precondition);
  EXPECT_THAT(r.error().message(), HasSubstr("chmod 600"));
}

TEST_F(sealing, a_link_in_place_of_the_key_file_is_refused) {
  ASSERT_TRUE(sealer::open(master_key_source::file(file)));
  const auto link = folder.path() / "link.key";
  io::fs::create_symlink(file, link);
  EXPECT_EQ(sealer::open(master_key_source::file(link)).error().code(), errc::failed_precondition);
}

TEST_F(sealing, a_key_file_without_a_key_is_data_corrupt_and_left_alone) {
  ASSERT_TRUE(io::write_file_durably(file, "hello"));
  EXPECT_EQ(sealer::open(master_key_source::file(file)).error().code(), errc::data_corrupt);
  EXPECT_EQ(io::read_file(file, 100).value(), "hello");
}

}  // namespace
}  // namespace evp::backend
