// Files of revoked certificates: what is in force when they change, break, grow old or are replaced by older ones.
#include "backend/revocation_files.h"

#include "backend/test_world.h"
#include "base/test_revocation_list.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;

struct revocation_files_test : world {
  static constexpr auto day = std::chrono::hours(24);
  revocation_files_test() { write("issuers.pem", issuer.certificate()); }

  io::fs::path write(const std::string& name, const std::string& text) {
    const auto path = folder_.path() / name;
    EXPECT_TRUE(io::write_file_durably(path, text, 0600));
    return path;
  }
  std::string list(const std::vector<long>& serials) { return issuer.list(serials, clock_.now(), clock_.now() + day); }
  result<void> start(std::vector<io::fs::path> lists) {
    files =
        std::make_unique<revocation_files>(ctx_.get_executor(), b_->revocations, disk, clock_,
                                           revocation_files_options{std::move(lists), folder_.path() / "issuers.pem"});
    return run(files->start());
  }
  void look() {
    run([](revocation_files& f) -> io::task<bool> {
      co_await f.look();
      co_return true;
    }(*files));
  }
  void TearDown() override {
    if (files)
      run([](revocation_files& f) -> io::task<bool> {
        co_await f.stop();
        co_return true;
      }(*files));
  }

  list_issuer issuer{"Fleet CA", clock_.now()}, other{"Other CA", clock_.now()};
  io::pool disk{1};
  std::unique_ptr<revocation_files> files;
};

TEST_F(revocation_files_test, what_a_file_has_is_in_force_from_the_start_and_when_it_changes) {
  const auto path = write("a.crl", list({1, 2}));
  ASSERT_TRUE(start({path}));
  EXPECT_EQ(gateway_.revoked.size(), 2u);
  clock_.advance(std::chrono::hours(1));
  write("a.crl", list({2, 3, 4}));
  look();
  EXPECT_EQ(gateway_.revoked.size(), 3u);
  EXPECT_EQ(b_->revocations.count(), 3u);
  EXPECT_TRUE(files->states().at(0).good);
  EXPECT_EQ(files->states().at(0).entries, 3u);
}

TEST_F(revocation_files_test, a_list_that_cannot_be_used_changes_nothing_until_it_can) {
  const auto path = write("a.crl", list({1, 2}));
  ASSERT_TRUE(start({path}));
  const auto before = gateway_.revoked;
  for (const auto& bad :
       {std::string("no list"), other.list({}, clock_.now(), clock_.now() + day), list({}).substr(9)}) {
    write("a.crl", bad);
    look();
    EXPECT_EQ(gateway_.revoked, before);
    EXPECT_FALSE(files->states().at(0).good);
  }
  io::fs::remove(path);
  look();
  EXPECT_EQ(gateway_.revoked, before);
  EXPECT_FALSE(files->states().at(0).good);
  write("a.crl", list({3}));
  look();
  EXPECT_EQ(gateway_.revoked.size(), 1u);
  EXPECT_TRUE(files->states().at(0).good);
}

TEST_F(revocation_files_test, an_old_copy_does_not_restore_what_was_revoked_since) {
  const auto old = list({1});
  clock_.advance(std::chrono::hours(1));
  const auto path = write("a.crl", list({1, 2}));
  ASSERT_TRUE(start({path}));
  write("a.crl", old);
  look();
  EXPECT_EQ(gateway_.revoked.size(), 2u);
  EXPECT_FALSE(files->states().at(0).good);
}

TEST_F(revocation_files_test, one_that_is_overdue_holds_and_is_not_good) {
  const auto path = write("a.crl", list({1}));
  ASSERT_TRUE(start({path}));
  clock_.advance(day + seconds(1));
  look();
  EXPECT_EQ(gateway_.revoked.size(), 1u);
  EXPECT_FALSE(files->states().at(0).good);
  write("a.crl", list({1, 2}));
  look();
  EXPECT_TRUE(files->states().at(0).good);
  EXPECT_EQ(gateway_.revoked.size(), 2u);
}

TEST_F(revocation_files_test, one_that_is_overdue_already_at_the_start_holds_too) {
  const auto path = write("a.crl", list({1}));
  clock_.advance(day + seconds(1));
  ASSERT_TRUE(start({path}));
  EXPECT_EQ(gateway_.revoked.size(), 1u);
  EXPECT_FALSE(files->states().at(0).good);
}

TEST_F(revocation_files_test, a_start_without_a_list_that_can_be_used_fails_and_names_the_file) {
  const auto good = write("a.crl", list({1}));
  const auto bad = write("b.crl", other.list({1}, clock_.now(), clock_.now() + day));
  const auto r = start({good, bad});
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().message(), HasSubstr("b.crl"));
  EXPECT_THAT(start({folder_.path() / "none.crl"}).error().message(), HasSubstr("none.crl"));
}

}  // namespace
}  // namespace evp::backend
