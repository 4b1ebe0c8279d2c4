#include "runtime/modules/supervisor.h"

#include <csignal>

#include "runtime/modules/test_world.h"

namespace evp::runtime {
namespace {

using testing::HasSubstr;
using supervisor_test = supervised;

TEST_F(supervisor_test, a_deployment_is_downloaded_checked_and_started) {
  s_->apply(wanting({"a", "b"}));
  EXPECT_EQ(s_->status().reconcile_status, "applying");
  ASSERT_TRUE(until_status("ok"));
  EXPECT_EQ(transport_.requests, 1);
  EXPECT_NE(ask("a", "describe"), ask("b", "describe"));
  EXPECT_EQ(s_->status().instances.at("a").module_id, "m");
  EXPECT_EQ(s_->status().modules.at("m").status, "ok");
}

TEST_F(supervisor_test, a_module_on_disk_is_not_downloaded_again_after_a_restart_of_the_runtime) {
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  stop();
  make();
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_EQ(transport_.requests, 1);
}

TEST_F(supervisor_test, a_file_that_was_changed_on_disk_is_downloaded_again) {
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  stop();
  std::ofstream(options_.data / "modules/m", std::ios::app) << "x";
  make();
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_EQ(transport_.requests, 2);
}

TEST_F(supervisor_test, a_wrong_hash_is_an_error_and_is_tried_again_with_back_off) {
  auto d = wanting({"a"});
  d.modules["m"].hash = std::string(64, '0');
  s_->apply(d);
  ASSERT_TRUE(until_status("error"));
  EXPECT_THAT(s_->status().modules.at("m").failure_message, HasSubstr("Module hash mismatch"));
  EXPECT_FALSE(io::fs::exists(options_.data / "modules/m"));
  EXPECT_TRUE(until([&] { return transport_.requests >= 3; }));
  s_->apply(wanting({"a"}));
  EXPECT_TRUE(until_status("ok"));
}

TEST_F(supervisor_test, a_missing_file_is_an_error_that_names_the_status) {
  transport_.files.clear();
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("error"));
  EXPECT_EQ(s_->status().instances.at("a").failure_message, "Download failed HTTP Response = 404");
}

TEST_F(supervisor_test, a_kind_of_module_that_cannot_run_here_is_an_error_and_never_applying) {
  auto d = wanting({"a"});
  d.modules["m"].impl = "wasm";
  s_->apply(d);
  ASSERT_TRUE(until_status("error"));
  EXPECT_EQ(s_->status().instances.at("a").failure_message, "this runtime runs spawn modules only, not wasm");
}

TEST_F(supervisor_test, new_code_under_an_old_id_replaces_the_process) {
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  const auto before = s_->pid_of("a");
  module_ += '\0';  // another hash, the same program
  transport_.files["http://h/m"] = module_;
  hash_ = to_hex(sha256(module_));
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_NE(s_->pid_of("a"), before);
  EXPECT_EQ(transport_.requests, 2);
}

TEST_F(supervisor_test, the_same_deployment_again_leaves_the_process_alone) {
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  const auto before = s_->pid_of("a");
  auto d = wanting({"a"});
  d.id = "other";
  d.modules["m"].download_url = secret("http://h/elsewhere");
  s_->apply(d);
  ASSERT_TRUE(until_status("ok"));
  EXPECT_EQ(s_->pid_of("a"), before);
}

TEST_F(supervisor_test, a_crashed_module_is_started_again_and_the_command_under_way_is_answered) {
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  const auto before = s_->pid_of("a");
  EXPECT_THAT(ask("a", "crash"), HasSubstr("ended before it answered"));
  ASSERT_TRUE(until([&] { return s_->pid_of("a") != 0 && s_->pid_of("a") != before; }));
  EXPECT_THAT(ask("a", "describe"), HasSubstr("uid="));
}

TEST_F(supervisor_test, an_undeployed_instance_is_stopped_and_its_workspace_removed) {
  s_->apply(wanting({"a", "b"}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_EQ(ask("a", "state", "x"), "0");
  EXPECT_EQ(s_->states().at("a/s"), "x");
  s_->apply(wanting({"b"}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_TRUE(until([&] { return !io::fs::exists(workspace("a")); }));
  EXPECT_TRUE(s_->states().empty());
  EXPECT_NE(s_->pid_of("b"), 0);
}

TEST_F(supervisor_test, the_workspace_of_an_undeployed_instance_stays_until_its_files_have_been_sent) {
  s_->apply(wanting({"a", "b"}));
  ASSERT_TRUE(until_status("ok"));
  blobs_.held = "a";
  s_->apply(wanting({"b"}));
  ASSERT_TRUE(until([&] { return s_->pid_of("a") == 0 && s_->status().reconcile_status == "ok"; }));
  EXPECT_TRUE(io::fs::exists(workspace("a")));
  blobs_.held.clear();
  blobs_.on_drained("a");
  EXPECT_TRUE(until([&] { return !io::fs::exists(workspace("a")); }));
  EXPECT_THAT(blobs_.forgotten, testing::ElementsAre("a"));
}

TEST_F(supervisor_test, a_module_that_ignores_the_exit_event_is_killed_after_the_grace) {
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_EQ(ask("a", "create", "stubborn"), "0");
  const auto pid = s_->pid_of("a");
  s_->apply(wanting({}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(supervisor_test, configuration_reaches_its_instance_only_also_when_it_changes) {
  s_->configure({{"a/t", "1"}, {"b/t", "other"}});
  s_->apply(wanting({"a"}));
  ASSERT_TRUE(until_status("ok"));
  EXPECT_TRUE(until([&] { return ask("a", "configuration") == "t=1"; }));
  s_->configure({{"a/t", "2"}});
  EXPECT_TRUE(until([&] { return ask("a", "configuration") == "t=2"; }));
}

TEST_F(supervisor_test, a_message_reaches_the_subscribers_under_their_own_alias) {
  auto d = wanting({"a", "b"});
  d.instances["a"].publish["out"] = "P";
  d.instances["b"].subscribe["in"] = "S";
  d.publish_topics["P"] = {"local", "t"};
  d.subscribe_topics["S"] = {"local", "t"};
  s_->apply(d);
  ASSERT_TRUE(until_status("ok"));
  ask("b", "describe");
  EXPECT_EQ(ask("a", "publish", "hello"), "0");
  EXPECT_TRUE(until([&] { return ask("b", "message") == "in=hello"; }));
}

TEST_F(supervisor_test, a_command_to_an_unknown_instance_is_refused) {
  wire::command_request c;
  c.instance = "nobody";
  EXPECT_EQ(s_->command(c, [](wire::command_response) {}).error().code(), errc::not_found);
}

TEST_F(supervisor_test, file_urls_are_refused_unless_the_operator_allows_them) {
  auto d = wanting({"a"});
  d.modules["m"].download_url = secret("file://" TEST_MODULE);
  s_->apply(d);
  ASSERT_TRUE(until_status("error"));
  EXPECT_THAT(s_->status().modules.at("m").failure_message, HasSubstr("not allowed"));
  stop();
  options_.allow_file_urls = true;
  make();
  s_->apply(d);
  EXPECT_TRUE(until_status("ok"));
}

}  // namespace
}  // namespace evp::runtime
