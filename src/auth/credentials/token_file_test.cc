#include "auth/credentials/token_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "io/test_folder.h"

namespace evp::auth {
namespace {

constexpr std::string_view token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";

struct token_file_test : testing::Test {
  io::temporary_folder folder;
  io::fs::path allowed = folder.path() / "allowed";
  token_folders folders{{allowed}};

  void SetUp() override {
    ASSERT_TRUE(io::make_directories(allowed));
    write("token", std::string(token) + "\n");
  }
  void write(const io::fs::path& name, std::string_view text) {
    ASSERT_TRUE(io::write_file_durably(allowed / name, text));
  }
  errc refused(const io::fs::path& file) { return folders.read(file).error().code(); }
};

TEST_F(token_file_test, a_web_token_in_an_allowed_folder_is_read) {
  EXPECT_EQ(folders.read(allowed / "token")->reveal(), token);
}

TEST_F(token_file_test, files_outside_of_the_allowed_folders_are_never_opened) {
  ASSERT_TRUE(io::write_file_durably(folder.path() / "other", token));
  for (const auto& bad : {folder.path() / "other", io::fs::path("/etc/shadow"), allowed / ".." / "other", allowed,
                          io::fs::path("token"), io::fs::path("/var/run/secrets/kubernetes.io/serviceaccount/token"),
                          io::fs::path(allowed.string() + "2/token"), allowed / "", io::fs::path("")})
    EXPECT_EQ(refused(bad), errc::invalid_argument) << bad;
}

TEST_F(token_file_test, links_out_of_the_folder_are_refused_and_links_within_followed) {
  ASSERT_TRUE(io::write_file_durably(folder.path() / "other", token));
  io::fs::create_symlink("../other", allowed / "out");
  io::fs::create_symlink(folder.path() / "other", allowed / "absolute");
  io::fs::create_symlink("token", allowed / "within");
  EXPECT_EQ(refused(allowed / "out"), errc::permission_denied);
  EXPECT_EQ(refused(allowed / "absolute"), errc::permission_denied);
  EXPECT_TRUE(folders.read(allowed / "within"));
}

TEST_F(token_file_test, only_a_web_token_leaves_the_file) {
  for (const std::string text : {"", "password", "root:x:0:0::/root:/bin/sh", "a.b.c", "eyJ.b", "eyJ.b.c.d", "eyJ..c",
                                 "eyJ a.b.c", "eyJa.b.", "-----BEGIN PRIVATE KEY-----"}) {
    write("text", text);
    EXPECT_EQ(refused(allowed / "text"), errc::data_corrupt) << text;
  }
  write("text", "eyJa.b." + std::string(20'000, 'c'));
  EXPECT_EQ(refused(allowed / "text"), errc::data_corrupt);
}

TEST_F(token_file_test, a_pipe_does_not_hold_the_reader) {
  ASSERT_EQ(::mkfifo((allowed / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(refused(allowed / "pipe"), errc::invalid_argument);
}

TEST_F(token_file_test, a_missing_file_is_not_found_and_named) {
  const auto r = folders.read(allowed / "none");
  EXPECT_EQ(r.error().code(), errc::not_found);
  EXPECT_THAT(r.error().message(), testing::HasSubstr("none"));
}

}  // namespace
}  // namespace evp::auth
