// The admin token: made once, kept private, compared as a whole. API keys beside it: whose request it is, and whether
// it may.
#include "api/auth.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sql/test_database.h"

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

struct asking : testing::Test {
  asking() {
    sql::run(ctx_, access_.create_tenant("acme")).value();
    sql::run(ctx_, access_.create_tenant("other")).value();
  }
  result<caller> ask(const std::string& authorization, const std::string& tenant = "") {
    http::headers fields{{"authorization", authorization}};
    if (!tenant.empty()) fields.push_back({"x-evp-tenant", tenant});
    return identify(admin_, access_, nullptr, fields);
  }
  std::string key(std::optional<std::string> tenant, backend::role r) {
    return "Bearer " + sql::run(ctx_, access_.create_key(std::move(tenant), "n", r, std::nullopt))->text.reveal();
  }

  sql::temporary_folder folder_;
  io::asio::io_context ctx_;
  io::manual_clock clock_{timestamp(seconds(1'795'371'410))};
  std::unique_ptr<sql::database> db_ =
      sql::database::open(ctx_.get_executor(), "sqlite://" + (folder_.path() / "t.db").string()).value();
  backend::access access_{*db_, clock_};
  const bearer_auth admin_{secret("abcdefghijklmnop")};
};

TEST_F(asking, only_the_whole_token_in_its_scheme_passes) {
  EXPECT_TRUE(ask("Bearer abcdefghijklmnop"));
  EXPECT_TRUE(ask("bearer abcdefghijklmnop"));
  for (const std::string bad : {"", "Bearer", "Bearer ", "Bearer abcdefghijklmno", "Bearer abcdefghijklmnopq",
                                "Basic abcdefghijklmnop", "abcdefghijklmnop"}) {
    const auto r = ask(bad);
    ASSERT_FALSE(r) << bad;
    EXPECT_EQ(r.error().code(), errc::unauthenticated);
  }
  EXPECT_FALSE(identify(admin_, access_, nullptr, {}));
}

TEST_F(asking, the_admin_token_acts_in_the_tenant_that_it_names) {
  EXPECT_EQ(ask("Bearer abcdefghijklmnop")->tenant, "");
  EXPECT_EQ(ask("Bearer abcdefghijklmnop", "default")->tenant, "");
  EXPECT_EQ(ask("Bearer abcdefghijklmnop", "acme")->tenant, "acme");
  EXPECT_EQ(ask("Bearer abcdefghijklmnop", "nobody").error().code(), errc::not_found);
}

TEST_F(asking, a_key_acts_in_its_own_tenant_only) {
  const auto theirs = key("acme", backend::role::admin), ours = key("", backend::role::admin);
  EXPECT_EQ(ask(theirs)->tenant, "acme");
  EXPECT_EQ(ask(theirs, "acme")->tenant, "acme");
  for (const auto* another : {"other", "default", "nobody"})
    EXPECT_EQ(ask(theirs, another).error().code(), errc::permission_denied) << another;
  EXPECT_EQ(ask(ours)->tenant, "");
  EXPECT_EQ(ask(ours, "acme").error().code(), errc::permission_denied);
  EXPECT_EQ(ask(key(std::nullopt, backend::role::viewer), "acme")->tenant, "acme");
}

TEST_F(asking, each_role_reaches_as_far_as_it_should) {
  const auto passes = [&](std::optional<std::string> tenant, backend::role r) {
    std::string out;
    const auto who = ask(key(std::move(tenant), r)).value();
    for (const auto l : {level::view, level::operate, level::administer, level::view_all, level::administer_all})
      out += check_level(who, l) ? "y" : "n";
    return out;
  };
  EXPECT_EQ(passes("acme", backend::role::viewer), "ynnnn");
  EXPECT_EQ(passes("acme", backend::role::operator_role), "yynnn");
  EXPECT_EQ(passes("acme", backend::role::admin), "yyynn");
  EXPECT_EQ(passes("", backend::role::admin), "yyynn");
  EXPECT_EQ(passes(std::nullopt, backend::role::viewer), "ynnyn");
  EXPECT_EQ(passes(std::nullopt, backend::role::operator_role), "yynyn");
  EXPECT_EQ(passes(std::nullopt, backend::role::admin), "yyyyy");
}

}  // namespace
}  // namespace evp::api
