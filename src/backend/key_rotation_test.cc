// A change of the master key: what was sealed opens after it, with the new key alone, wherever it is broken off.
#include "backend/key_rotation.h"

#include "backend/test_world.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;
using testing::Not;

struct key_rotation_test : world {
  key_rotation_test() {
    add_default_service();
    hook_input in{.url = "https://receiver.example/", .key = secret(std::string(32, 'k'))};
    EXPECT_TRUE(run(b_->hooks.put("h", std::move(in))));
  }
  std::string key_file() { return io::read_file(folder_.path() / "master.key", 4096).value(); }
  void write_key_file(const std::string& text) {
    ASSERT_TRUE(io::write_file_durably(folder_.path() / "master.key", text, 0600));
  }
  /// All that the database file and its log hold.
  std::string on_disk() {
    std::string all;
    for (const auto* name : {"backend.db", "backend.db-wal"})
      all += io::read_file(folder_.path() / name, 1 << 26).value_or("");
    return all;
  }
};

TEST_F(key_rotation_test, everything_opens_with_the_new_key_and_nothing_with_the_old) {
  const auto before = key_file();
  const auto done = run(b_->rotate_master_key());
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->rewrapped, 4u);  // the service's key, the hook's, and the two of the backend's own URLs
  EXPECT_NE(key_file(), before);
  EXPECT_EQ(key_file().size(), before.size());
  reopen();
  EXPECT_TRUE(b_->services.get("default"));
  close();
  write_key_file(before);
  EXPECT_THROW(open(), std::runtime_error);
}

TEST_F(key_rotation_test, urls_that_were_signed_before_stay_good) {
  const auto signing = b_->local_signing_key();
  ASSERT_TRUE(run(b_->rotate_master_key()));
  reopen();
  EXPECT_EQ(b_->local_signing_key(), signing);
}

TEST_F(key_rotation_test, a_service_made_after_it_survives_a_restart) {
  ASSERT_TRUE(run(b_->rotate_master_key()));
  ASSERT_TRUE(run(b_->services.create(input("second"))));
  reopen();
  EXPECT_TRUE(b_->services.get("second"));
}

TEST_F(key_rotation_test, broken_off_before_the_database_has_changed_it_can_be_made_again) {
  const auto old = key_file();
  write_key_file(std::string(64, 'a') + "\n" + old);  // as the first step leaves it
  reopen();
  EXPECT_TRUE(b_->services.get("default"));
  ASSERT_TRUE(run(b_->services.create(input("second"))));
  ASSERT_TRUE(run(b_->rotate_master_key()));
  EXPECT_EQ(key_file().size(), old.size());
  reopen();
  EXPECT_EQ(b_->services.list().size(), 2u);
}

TEST_F(key_rotation_test, broken_off_again_it_goes_on_with_the_key_in_force) {
  ASSERT_TRUE(run(b_->rotate_master_key()));
  const auto in_force = key_file();
  write_key_file(std::string(64, 'b') + "\n" + in_force);
  reopen();
  ASSERT_TRUE(run(b_->services.create(input("second"))));
  write_key_file(in_force);
  reopen();
  EXPECT_EQ(b_->services.list().size(), 2u);
}

TEST_F(key_rotation_test, broken_off_after_the_database_has_changed_the_next_start_goes_on) {
  const auto old = key_file();
  ASSERT_TRUE(run(b_->rotate_master_key()));
  write_key_file(key_file() + old);
  reopen();
  EXPECT_TRUE(b_->services.get("default"));
}

TEST_F(key_rotation_test, a_backend_with_an_old_key_stores_nothing_more_and_says_what_it_lacks) {
  const auto old = key_file();
  sealer elsewhere = sealer::open(master_key_source::text(secret(old))).value();  // another backend on the database
  const auto fresh = std::string(64, 'c');
  const auto done =
      run(rotate_master_key(b_->database, elsewhere, master_key_source::text(secret(fresh + "\n" + old))));
  ASSERT_TRUE(done) << done.error().message();
  const auto late = run(b_->services.create(input("late")));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), errc::unavailable);
  EXPECT_THAT(late.error().message(), HasSubstr("new key"));
  EXPECT_EQ(run(b_->rotate_master_key()).error().code(), errc::failed_precondition);
  EXPECT_EQ(key_file(), old);

  write_key_file(fresh + "\n" + old);
  ASSERT_TRUE(run(b_->rotate_master_key()));
  EXPECT_TRUE(run(b_->services.create(input("late"))));
}

TEST_F(key_rotation_test, a_source_that_still_gives_the_old_key_changes_nothing) {
  auto seals = sealer::open(master_key_source::file(folder_.path() / "master.key")).value();
  const auto again = run(rotate_master_key(b_->database, seals, master_key_source::text(secret(key_file()))));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), errc::failed_precondition);
  EXPECT_THAT(again.error().message(), HasSubstr("first line"));
}

TEST_F(key_rotation_test, a_stolen_database_shows_no_secret_before_or_after) {
  EXPECT_THAT(on_disk(), Not(HasSubstr("the-secret-key")));
  ASSERT_TRUE(run(b_->rotate_master_key()));
  EXPECT_THAT(on_disk(), Not(HasSubstr("the-secret-key")));
  EXPECT_THAT(on_disk(), Not(HasSubstr(std::string(32, 'k'))));
  EXPECT_THAT(on_disk(), Not(HasSubstr(key_file().substr(0, 64))));
}

TEST(master_key_source_test, a_command_gives_the_key) {
  const auto keys = master_key_source::command("printf '%064d\\n%064d\\n' 1 2").read();
  ASSERT_TRUE(keys) << keys.error().message();
  EXPECT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].reveal().back(), '\x01');
}

TEST(master_key_source_test, a_command_that_fails_or_gives_no_key_is_refused_without_its_output) {
  for (const auto* line :
       {"echo 0123; exit 3", "echo secret-looking-text", "true", "yes", "exec /nonexistent/program"}) {
    const auto keys = master_key_source::command(line).read();
    ASSERT_FALSE(keys) << line;
    EXPECT_THAT(keys.error().message(), Not(HasSubstr("secret-looking"))) << line;
  }
}

}  // namespace
}  // namespace evp::backend
