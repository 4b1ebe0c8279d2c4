#include "runtime/sdk_server/session.h"

#include <gmock/gmock.h>

#include "runtime/sdk_server/test_ports.h"

namespace evp::runtime::socket {
namespace {

class session_test : public testing::Test, protected session_world {
 protected:
  blob_input put(const std::string& file) {
    blob_input r;
    r.type = 3;
    r.op = 1;
    r.form = blob_form::named;
    r.remote_name = "dir/x";
    r.filename = file;
    r.back = {7, 8};
    return r;
  }
  template <class T>
  T next() {
    EXPECT_TRUE(module->has_event());
    return std::get<T>(module->take_event());
  }
};

TEST_F(session_test, a_path_outside_the_workspace_is_answered_with_an_error_and_nothing_is_submitted) {
  EXPECT_EQ(start(put("/etc/hostname")), answer::ok);
  EXPECT_TRUE(transfers.orders.empty());
  const auto e = next<blob_event>();
  EXPECT_EQ(e.result, 1u);
  EXPECT_EQ(e.error, std::uint32_t(EPERM));
  EXPECT_EQ(e.back.cb, 7u);
  EXPECT_EQ(e.back.user, 8u);
}

TEST_F(session_test, the_outcome_of_an_accepted_upload_comes_as_one_event) {
  EXPECT_EQ(start(put((root / "a.bin").string())), answer::ok);
  ASSERT_EQ(transfers.orders.size(), 1u);
  EXPECT_EQ(transfers.orders[0].size, 5u);
  EXPECT_FALSE(module->has_event());
  transfers.end(0, {blob_outcome::kind::error_http, 403, 0});
  const auto e = next<blob_event>();
  EXPECT_EQ(e.result, 2u);
  EXPECT_EQ(e.http_status, 403u);
}

TEST_F(session_test, progress_comes_to_who_wants_it_the_latest_only_and_never_after_the_end) {
  EXPECT_EQ(start(put((root / "a.bin").string())), answer::ok);
  transfers.move(0, 10);
  EXPECT_FALSE(module->has_event());
  get_event poll;
  poll.progress = true;
  module->hear(poll);
  transfers.move(0, 20);
  transfers.move(0, 30);
  EXPECT_EQ(next<progress_event>().moved, 30u);
  EXPECT_FALSE(module->has_event());
  transfers.move(0, 40);
  transfers.end(0, {blob_outcome::kind::success, 200, 0});
  next<blob_event>();
  EXPECT_FALSE(module->has_event());
}

TEST_F(session_test, a_full_queue_denies) {
  transfers.full = true;
  EXPECT_EQ(start(put((root / "a.bin").string())), answer::denied);
  EXPECT_FALSE(module->has_event());
}

TEST_F(session_test, type_and_shape_must_agree_and_a_header_cannot_smuggle_another_one_in) {
  auto r = put((root / "a.bin").string());
  r.type = 2;
  EXPECT_EQ(start(r), answer::inval);
  r.type = 77;
  EXPECT_EQ(start(r), answer::inval);
  r.type = 4;
  r.form = blob_form::http_ext;
  r.url = "http://h/x";
  r.headers = {"a: b\r\nHost: evil"};
  EXPECT_EQ(start(r), answer::inval);
  r.headers = {"a: b"};
  EXPECT_EQ(start(r), answer::ok);
  EXPECT_EQ(transfers.orders.at(0).fields, (http::headers{{"a", "b"}}));
}

TEST_F(session_test, a_newer_state_overwrites_and_the_latest_is_told_as_sent) {
  EXPECT_EQ(module->perform(send_state{"s", "1", {1, 0}}), answer::ok);
  EXPECT_EQ(module->perform(send_state{"s", "2", {2, 0}}), answer::ok);
  EXPECT_EQ(next<done_event>().reason, 1u);
  module->states_sent();
  const auto e = next<done_event>();
  EXPECT_EQ(e.back.cb, 2u);
  EXPECT_EQ(e.reason, 0u);
  EXPECT_EQ(states["s"], "2");
}

TEST_F(session_test, telemetry_that_is_no_json_is_refused) {
  EXPECT_EQ(module->perform(send_telemetry{{{"k", "{\"a\":"}}, {}}), answer::inval);
  EXPECT_EQ(module->perform(send_telemetry{{{"k", "1,\"other/x\":2"}}, {}}), answer::inval);
  EXPECT_EQ(module->perform(send_telemetry{{{"k\"", "[1]"}, {"t", "\"x\""}}, {}}), answer::ok);
  EXPECT_THAT(telemetry, testing::ElementsAre(R"({"up/k\"":[1],"up/t":"x"})"));
}

TEST_F(session_test, configuration_is_sent_once_asked_for_and_the_latest_value_wins) {
  configuration["t"] = "1";
  module->configure("t", "0");
  EXPECT_FALSE(module->has_event());
  EXPECT_EQ(module->perform(resend_configuration{}), answer::ok);
  module->configure("t", "2");
  EXPECT_EQ(next<configuration_event>().bytes, "2");
  EXPECT_FALSE(module->has_event());
}

TEST_F(session_test, a_command_is_answered_once_and_an_ended_module_answers_with_an_error) {
  std::vector<wire::command_response> answers;
  const auto keep = [&](wire::command_response r) { answers.push_back(std::move(r)); };
  wire::command_request c;
  c.instance = "up";
  c.reqid = "9001";
  c.method = "echo";
  ASSERT_TRUE(module->command(c, keep));
  const auto id = next<rpc_event>().id;
  EXPECT_EQ(module->perform(rpc_answer{id + 1, "{}", 0, {}}), answer::inval);
  EXPECT_EQ(module->perform(rpc_answer{id, "{}", 0, {}}), answer::ok);
  EXPECT_EQ(module->perform(rpc_answer{id, "{}", 0, {}}), answer::inval);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].reqid, "9001");
  ASSERT_TRUE(module->command(c, keep));
  module->end();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].status, wire::command_status::error);
}

TEST_F(session_test, a_module_that_never_polls_is_told_to_try_again) {
  answer last = answer::ok;
  std::size_t accepted = 0;
  for (; accepted < 2000 && last == answer::ok; ++accepted) last = module->perform(send_message{"known", "x", {}});
  EXPECT_EQ(last, answer::again);
  EXPECT_LE(accepted, session::max_waiting + 1);
}

TEST_F(session_test, exit_ends_every_outstanding_callback_and_comes_last) {
  module->perform(send_state{"s", "1", {1, 0}});
  start(put((root / "a.bin").string()));
  module->exit();
  EXPECT_EQ(next<done_event>().reason, 2u);
  EXPECT_EQ(next<blob_event>().reason, 1u);
  next<exit_event>();
  EXPECT_FALSE(module->has_event());
  EXPECT_EQ(module->perform(send_message{"known", "x", {}}), answer::denied);
}

TEST_F(session_test, an_operation_is_answered_when_it_is_durable_and_its_file_is_named_beneath_the_workspace) {
  transfers.slow = true;
  std::optional<answer> a;
  std::uint64_t operation = 0;
  module->start_blob(put((root / "a.bin").string()), [&](answer x, std::uint64_t id) { a = x, operation = id; });
  EXPECT_FALSE(a);
  EXPECT_EQ(transfers.orders.at(0).path, "a.bin");
  EXPECT_NE(transfers.orders.at(0).inode, 0U);
  transfers.answer(transfers.tickets.at(0), 77);
  EXPECT_EQ(a, answer::ok);
  EXPECT_EQ(operation, 77U);
}

TEST_F(session_test, a_disk_that_takes_no_writes_is_told_as_no_room) {
  transfers.slow = true;
  std::optional<answer> a;
  module->start_blob(put((root / "a.bin").string()), [&](answer x, std::uint64_t) { a = x; });
  transfers.answer(transfers.tickets.at(0), fail(errc::unavailable, "full"));
  EXPECT_EQ(a, answer::nomem);
  transfers.end(0, {});
  EXPECT_FALSE(module->has_event()) << "what was refused has no outcome";
}

TEST_F(session_test, only_who_acknowledges_gets_an_id_with_the_outcome) {
  auto r = put((root / "a.bin").string());
  start(r);
  r.acknowledges = true;
  start(r);
  transfers.end(0, {blob_outcome::kind::success, 201, 0});
  transfers.end(1, {blob_outcome::kind::success, 201, 0});
  EXPECT_EQ(next<blob_event>().operation, 0U);
  EXPECT_EQ(next<blob_event>().operation, 2U);
  get_event poll;
  poll.acknowledged = {2};
  module->hear(poll);
  EXPECT_THAT(transfers.acknowledged, testing::ElementsAre(2U));
  EXPECT_EQ(transfers.wanted, 0);
  poll.outcomes = true;
  module->hear(poll);
  module->hear(poll);
  EXPECT_EQ(transfers.wanted, 1);
}

TEST_F(session_test, an_operation_that_is_being_accepted_when_the_module_must_stop_is_answered_first) {
  transfers.slow = true;
  std::optional<answer> a;
  module->start_blob(put((root / "a.bin").string()), [&](answer x, std::uint64_t) { a = x; });
  module->exit();
  EXPECT_EQ(a, answer::ok);
  EXPECT_EQ(next<blob_event>().reason, 1u);
  next<exit_event>();
}

}  // namespace
}  // namespace evp::runtime::socket
