// What a module may not do: each attempt is made by a real process, and refused; the others live on.
#include <linux/landlock.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdlib>

#include "runtime/modules/test_world.h"

namespace evp::runtime {
namespace {

using testing::HasSubstr;

class hostile_module : public supervised {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "users of their own need root";
    supervised::SetUp();
    s_->apply(wanting({"evil", "good"}));
    ASSERT_TRUE(until_status("ok"));
    ASSERT_EQ(ask("good", "create", workspace("good") + "/picture"), "0");
    std::ofstream(options_.data / "queue") << "signed URLs";
    ::chmod((options_.data / "queue").c_str(), 0600);
    ask("evil", "describe");
  }
  void TearDown() override {
    if (!s_) return;
    EXPECT_THAT(ask("good", "describe"), HasSubstr("uid="));
  }
  const std::string eacces = std::to_string(EACCES), eperm = std::to_string(EPERM);
};

TEST_F(hostile_module, has_a_user_of_its_own_and_nothing_else) {
  const auto said = ask("evil", "describe");
  EXPECT_THAT(said, HasSubstr("uid=64300 gid=64300 groups=0"));
  EXPECT_THAT(said, HasSubstr("fds=4 env=2 nnp=1"));  // stdio and its own socket
  EXPECT_THAT(said, HasSubstr("CapEff=0000000000000000"));
  EXPECT_THAT(said, HasSubstr("CapBnd=0000000000000000"));
  EXPECT_THAT(said, HasSubstr("cwd=" + workspace("evil")));
}

TEST_F(hostile_module, cannot_read_or_write_what_belongs_to_others) {
  EXPECT_EQ(ask("evil", "open", workspace("good") + "/picture"), eacces);
  EXPECT_EQ(ask("evil", "create", workspace("good") + "/planted"), eacces);
  EXPECT_EQ(ask("evil", "list", workspace("good")), eacces);
  EXPECT_EQ(ask("evil", "list", (options_.data / "instances").string()), eacces);
  EXPECT_EQ(ask("evil", "list", options_.data.string()), eacces);
  EXPECT_EQ(ask("evil", "open", (options_.data / "queue").string()), eacces);
  EXPECT_EQ(ask("evil", "create", (options_.data / "modules/planted").string()), eacces);
  EXPECT_EQ(ask("evil", "create", (options_.data / "instances/evil/planted").string()), eacces);
}

TEST_F(hostile_module, cannot_reach_another_modules_socket_or_process) {
  EXPECT_EQ(ask("evil", "connect", (options_.data / "instances/good/sdk.sock").string()), eacces);
  EXPECT_EQ(ask("evil", "kill", std::to_string(s_->pid_of("good"))), eperm);
  EXPECT_EQ(ask("evil", "kill", std::to_string(::getpid())), eperm);
  EXPECT_EQ(ask("evil", "ptrace", std::to_string(s_->pid_of("good"))), eperm);
  EXPECT_EQ(ask("evil", "open", "/proc/" + std::to_string(s_->pid_of("good")) + "/environ"), eacces);
}

TEST_F(hostile_module, cannot_have_the_runtime_upload_what_lies_outside_its_workspace) {
  const auto outcome = [&](const std::string& path) {
    EXPECT_EQ(ask("evil", "put", path), "0");
    std::string said;
    EXPECT_TRUE(until([&] { return !(said = ask("evil", "outcome")).empty(); }));
    return said;
  };
  const auto own = workspace("evil");
  EXPECT_EQ(outcome("/etc/shadow"), "0/1/" + std::to_string(EPERM));
  EXPECT_EQ(outcome(own + "/../../good/default_workspace/picture"), "0/1/" + std::to_string(EPERM));
  EXPECT_EQ(ask("evil", "symlink", (options_.data / "queue").string()), "0");
  EXPECT_EQ(outcome(own + "/link"), "0/1/" + std::to_string(ELOOP));
  EXPECT_TRUE(blobs_.orders.empty());
}

TEST_F(hostile_module, that_sends_garbage_loses_its_connection_only) {
  const auto good = s_->pid_of("good"), evil = s_->pid_of("evil");
  EXPECT_THAT(ask("evil", "garbage"), HasSubstr("ended before it answered"));
  EXPECT_TRUE(until([&] { return s_->pid_of("evil") != 0 && s_->pid_of("evil") != evil; }));
  EXPECT_EQ(s_->pid_of("good"), good);
}

TEST_F(hostile_module, cannot_leave_a_process_behind) {
  EXPECT_EQ(ask("evil", "hide"), "0");
  s_->apply(wanting({"good"}));
  ASSERT_TRUE(until_status("ok"));
  const auto has_process = [] {
    for (const auto& p : io::fs::directory_iterator("/proc")) {
      struct stat st {};
      if (::stat(p.path().c_str(), &st) == 0 && st.st_uid == 64300u) return true;
    }
    return false;
  };
  EXPECT_TRUE(until([&] { return !has_process(); }));  // killed at once; the kernel may still be taking it apart
}

class hostile_module_without_root : public supervised {
 protected:
  void SetUp() override {
    const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1);
    if (abi < 1) GTEST_SKIP() << "this kernel has no Landlock";
    options_.separate_users = false;
    supervised::SetUp();
    s_->apply(wanting({"evil", "good"}));
    ASSERT_TRUE(until_status("ok"));
  }
};

TEST_F(hostile_module_without_root, is_confined_to_its_workspace_by_landlock) {
  std::ofstream(options_.data / "queue") << "signed URLs";
  const auto eacces = std::to_string(EACCES);
  EXPECT_EQ(ask("evil", "create", workspace("evil") + "/mine"), "0");
  EXPECT_EQ(ask("evil", "open", (options_.data / "queue").string()), eacces);
  EXPECT_EQ(ask("evil", "list", workspace("good")), eacces);
  EXPECT_EQ(ask("evil", "create", workspace("good") + "/planted"), eacces);
  EXPECT_EQ(ask("evil", "create", (options_.data / "modules/planted").string()), eacces);
}

}  // namespace
}  // namespace evp::runtime
