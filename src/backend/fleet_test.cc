// Devices, their states, modules, deployments and commands, through the whole backend.
#include "backend/test_world.h"
#include "base/encoding.h"
#include "sql/devices_store.h"
#include "sql/states_store.h"

namespace evp::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct fleet_test : world {
  static std::string manifest(const std::string& module, const std::string& more = "") {
    return R"({"deploymentId":"d1","instanceSpecs":{"up":{"moduleId":")" + module +
           R"(","publish":{},"subscribe":{}}},"modules":{")" + module +
           R"(":{"moduleImpl":"spawn","entryPoint":"main")" + more + "}}}";
  }
  result<module_view> upload(const std::string& id, const std::string& bytes) {
    auto u = b_->modules.begin(id);
    if (!u) return fail(u.error());
    auto written = run((*u)->write(bytes));
    if (!written) return fail(written.error());
    return run((*u)->finish());
  }
};

TEST_F(fleet_test, a_device_s_token_is_shown_once_and_only_its_hash_is_kept) {
  const auto made = run(b_->devices.create("cam-1")).value();
  EXPECT_GE(made.token.size() * 5, 128u);
  EXPECT_TRUE(b_->devices.token_matches("cam-1", made.token));
  EXPECT_FALSE(b_->devices.token_matches("cam-1", secret("x")));
  EXPECT_FALSE(b_->devices.token_matches("cam-2", made.token));
  EXPECT_THAT(gateway_.calls, ElementsAre("set cam-1"));
  reopen();
  EXPECT_TRUE(b_->devices.token_matches("cam-1", made.token));
  EXPECT_EQ(b_->devices.all_credentials().at(0).token_sha256, to_hex(sha256(made.token.reveal())));
}

TEST_F(fleet_test, device_ids_are_generated_checked_and_unique) {
  EXPECT_TRUE(run(b_->devices.create({})));
  add_device();
  EXPECT_EQ(run(b_->devices.create("cam-1")).error().code(), errc::already_exists);
  for (const auto* id : {"", "a/b", "+", "#", "../x", "-a"})
    EXPECT_EQ(run(b_->devices.create(id)).error().field(), "id") << id;
  EXPECT_EQ(b_->devices.count().devices, 2u);
}

TEST_F(fleet_test, devices_are_listed_in_pages) {
  for (const auto* id : {"a", "b", "c"}) add_device(id);
  const auto first = b_->devices.list({2, ""}).value();
  ASSERT_EQ(first.items.size(), 2u);
  const auto second = b_->devices.list({2, first.next_cursor}).value();
  ASSERT_EQ(second.items.size(), 1u);
  EXPECT_EQ(second.items[0].id, "c");
  EXPECT_THAT(second.next_cursor, IsEmpty());
  EXPECT_EQ(b_->devices.list({1001, ""}).error().field(), "limit");
}

TEST_F(fleet_test, blocking_tells_the_broker_ends_the_session_and_outlives_a_restart) {
  add_device();
  const auto change = run(b_->devices.block("cam-1")).value();
  EXPECT_TRUE(change.device.blocked);
  EXPECT_FALSE(change.broker);
  EXPECT_THAT(gateway_.calls, ElementsAre("set cam-1", "set cam-1 blocked", "kick cam-1"));
  reopen();
  EXPECT_FALSE(b_->devices.check_active("cam-1"));
  ASSERT_TRUE(run(b_->devices.unblock("cam-1")));
  EXPECT_TRUE(b_->devices.check_active("cam-1"));
  EXPECT_EQ(run(b_->devices.block("nobody")).error().code(), errc::not_found);
}

TEST_F(fleet_test, a_block_holds_although_the_broker_cannot_be_told) {
  add_device();
  gateway_.failure = error(errc::unavailable, "no broker");
  const auto change = run(b_->devices.block("cam-1")).value();
  EXPECT_EQ(change.broker->code(), errc::unavailable);
  EXPECT_FALSE(b_->devices.check_active("cam-1"));
}

TEST_F(fleet_test, a_removed_device_leaves_with_all_that_was_its_own) {
  add_device();
  b_->states.on_telemetry("cam-1", "{}");
  ASSERT_TRUE(run(b_->deployments.set_configuration("cam-1", "up", "a", "1")));
  ASSERT_TRUE(run(b_->remove_device("cam-1")));
  EXPECT_THAT(gateway_.calls, testing::Contains("remove cam-1"));
  EXPECT_EQ(run(b_->states.get("cam-1"))->telemetry, "");
  add_device();
  EXPECT_THAT(run(b_->deployments.list_configuration("cam-1")).value(), IsEmpty());
}

TEST_F(fleet_test, states_are_kept_bounded_and_survive_a_restart) {
  add_device();
  wire::client_attributes a;
  a.protocol = wire::dialect::evp1;
  a.states["up/status"] = std::string("bytes\0", 6);
  a.states["up/huge"] = std::string(200'000, 'x');
  b_->states.on_attributes("cam-1", a);
  b_->states.on_telemetry("cam-1", std::string(100'000, 'x'));
  b_->states.on_telemetry("cam-1", R"({"up/t":1})");
  EXPECT_EQ(b_->states.dropped(), 2u);
  EXPECT_TRUE(b_->states.online("cam-1"));
  reopen();
  const auto s = run(b_->states.get("cam-1")).value();
  EXPECT_FALSE(s.online);
  EXPECT_EQ(s.dialect, wire::dialect::evp1);
  EXPECT_EQ(s.telemetry, R"({"up/t":1})");
  ASSERT_EQ(s.states.size(), 1u);
  EXPECT_EQ(s.states.at("up/status").value, std::string("bytes\0", 6));
  EXPECT_EQ(b_->states.dialect_of("cam-1"), wire::dialect::evp1);
}

TEST_F(fleet_test, a_message_that_tells_nothing_new_is_worth_a_write_a_minute) {
  add_device();
  const auto written = [&] {
    const auto before = b_->database.count().closures;
    EXPECT_TRUE(run(b_->states.flush()));
    return b_->database.count().closures - before;
  };
  const auto message = [&] { b_->states.on_message("cam-1", wire::dialect::evp1); };
  message();
  EXPECT_EQ(written(), 1u);
  message();
  EXPECT_EQ(written(), 0u) << "the same again";
  clock_.advance(seconds(60));
  message();
  EXPECT_EQ(written(), 1u) << "it still lives";
  b_->states.on_message("cam-1", wire::dialect::evp2);
  EXPECT_EQ(written(), 1u) << "another dialect";
  b_->states.on_telemetry("cam-1", "{}");
  EXPECT_EQ(written(), 1u) << "telemetry";
}

TEST_F(fleet_test, more_devices_than_one_read_takes_come_back_at_a_start) {
  constexpr int many = 10'001;
  std::function<result<void>(sql::connection&)> insert = [](sql::connection& c) -> result<void> {
    for (int i = 0; i < many; ++i) {
      const auto id = "d" + std::to_string(i);
      CHECK(sql::insert_device(c, {id, std::string(64, '0'), false, 1}));
      CHECK(sql::put_report(c, {id, "EVP1", "{}", "", "", 0, 1}));
      CHECK(sql::put_states(c, id, {{id, "up/n", id, 1}}));
    }
    return {};
  };
  ASSERT_TRUE(run(b_->database.run<void>(std::move(insert))));
  reopen();
  EXPECT_EQ(b_->devices.count().devices, std::size_t(many));
  for (const auto* id : {"d0", "d5000", "d9999", "d10000"}) {
    EXPECT_EQ(b_->states.dialect_of(id), wire::dialect::evp1) << id;
    const auto s = run(b_->states.get(id)).value();
    ASSERT_EQ(s.states.size(), 1u) << id;
    EXPECT_EQ(s.states.at("up/n").value, id);
  }
}

TEST_F(fleet_test, a_module_file_is_hashed_kept_and_never_changed) {
  const auto m = upload("cam-1.0", "binary");
  ASSERT_TRUE(m);
  EXPECT_EQ(m->sha256, to_hex(sha256("binary")));
  EXPECT_TRUE(upload("cam-1.0", "binary"));
  EXPECT_EQ(upload("cam-1.0", "other").error().code(), errc::already_exists);
  EXPECT_EQ(upload("empty", "").error().code(), errc::invalid_argument);
  EXPECT_EQ(upload("a/b", "x").error().field(), "id");
  reopen();
  EXPECT_EQ(b_->modules.get("cam-1.0")->size_bytes, 6u);
  EXPECT_EQ(b_->modules.list().size(), 1u);
}

TEST_F(fleet_test, an_upload_that_is_dropped_leaves_no_file) {
  {
    auto u = b_->modules.begin("m").value();
    ASSERT_TRUE(run(u->write("half")));
  }
  EXPECT_TRUE(io::fs::is_empty(folder_.path() / "modules"));
  EXPECT_EQ(b_->modules.get("m").error().code(), errc::not_found);
}

TEST_F(fleet_test, a_module_s_url_opens_its_file_until_it_expires_and_no_other) {
  ASSERT_TRUE(upload("m1", "binary"));
  ASSERT_TRUE(upload("m2", "other"));
  const auto url = b_->modules.signed_url("m1")->reveal();
  EXPECT_THAT(url, testing::StartsWith("http://127.0.0.1:8080/modules/m1?exp="));
  const auto exp = url.substr(url.find("exp=") + 4, url.find("&sig=") - url.find("exp=") - 4);
  const auto sig = url.substr(url.find("&sig=") + 5);
  const auto file = b_->modules.verify("m1", exp, sig);
  ASSERT_TRUE(file);
  EXPECT_EQ(io::read_file(file->path, 100).value(), "binary");
  EXPECT_EQ(b_->modules.verify("m2", exp, sig).error().code(), errc::permission_denied);
  EXPECT_EQ(b_->modules.verify("m1", exp + "0", sig).error().code(), errc::permission_denied);
  EXPECT_EQ(b_->modules.verify("m1", exp, "").error().code(), errc::permission_denied);
  reopen();
  EXPECT_TRUE(b_->modules.verify("m1", exp, sig));
  clock_.advance(modules::url_lifetime + milliseconds(1000));
  EXPECT_EQ(b_->modules.verify("m1", exp, sig).error().code(), errc::permission_denied);
}

TEST_F(fleet_test, a_deployment_is_sent_with_url_and_hash_of_our_module_and_shown_as_it_was_given) {
  add_device();
  ASSERT_TRUE(upload("m1", "binary"));
  b_->states.on_presence("cam-1", true);
  ASSERT_TRUE(run(b_->deployments.set_deployment("cam-1", manifest("m1")))->sent);
  ASSERT_EQ(gateway_.pushes.size(), 1u);
  const auto sent = wire::decode_deployment(*gateway_.pushes[0].deployment).value();
  EXPECT_THAT(sent.modules.at("m1").download_url.reveal(), HasSubstr("/modules/m1?exp="));
  EXPECT_EQ(sent.modules.at("m1").hash, to_hex(sha256("binary")));
  EXPECT_EQ(run(b_->deployments.get_deployment("cam-1")).value(), manifest("m1"));
  EXPECT_THAT(*run(b_->deployments.shared("cam-1"))->deployment, HasSubstr("/modules/m1?exp="));
}

TEST_F(fleet_test, a_module_that_is_deployed_is_not_removed) {
  add_device();
  ASSERT_TRUE(upload("m1", "binary"));
  ASSERT_TRUE(run(b_->deployments.set_deployment("cam-1", manifest("m1"))));
  const auto r = run(b_->modules.remove("m1"));
  EXPECT_EQ(r.error().code(), errc::failed_precondition);
  EXPECT_THAT(r.error().message(), HasSubstr("cam-1"));
  ASSERT_TRUE(run(b_->deployments.remove_deployment("cam-1")));
  EXPECT_TRUE(run(b_->modules.remove("m1")));
  EXPECT_TRUE(io::fs::is_empty(folder_.path() / "modules"));
}

TEST_F(fleet_test, a_manifest_that_could_hurt_an_agent_is_neither_stored_nor_sent) {
  add_device();
  b_->states.on_presence("cam-1", true);
  EXPECT_EQ(run(b_->deployments.set_deployment("cam-1", "{}")).error().code(), errc::invalid_argument);
  const auto unknown = run(b_->deployments.set_deployment("cam-1", manifest("nowhere")));
  EXPECT_EQ(unknown.error().field(), "modules.nowhere.downloadUrl");
  EXPECT_EQ(run(b_->deployments.get_deployment("cam-1")).error().code(), errc::not_found);
  EXPECT_THAT(gateway_.pushes, IsEmpty());
  EXPECT_EQ(run(b_->deployments.set_deployment("nobody", manifest("m1"))).error().code(), errc::not_found);
}

TEST_F(fleet_test, a_device_without_deployment_is_told_to_run_nothing) {
  add_device();
  const auto d = wire::decode_deployment(*run(b_->deployments.shared("cam-1"))->deployment);
  ASSERT_TRUE(d);
  EXPECT_THAT(d->instances, IsEmpty());
}

TEST_F(fleet_test, configuration_is_stored_pushed_and_removed) {
  add_device();
  EXPECT_FALSE(run(b_->deployments.set_configuration("cam-1", "up", "dir/a", "1"))->sent);  // offline
  b_->states.on_presence("cam-1", true);
  EXPECT_TRUE(run(b_->deployments.set_configuration("cam-1", "up", "b", "2"))->sent);
  EXPECT_EQ(gateway_.pushes.at(0).configuration, (std::map<std::string, std::string>{{"up/b", "2"}}));
  EXPECT_EQ(run(b_->deployments.shared("cam-1"))->configuration.size(), 2u);
  EXPECT_TRUE(run(b_->deployments.remove_configuration("cam-1", "up", "b")));
  EXPECT_THAT(gateway_.pushes.at(1).deleted_configuration, ElementsAre("up/b"));
  EXPECT_EQ(run(b_->deployments.remove_configuration("cam-1", "up", "b")).error().code(), errc::not_found);
  EXPECT_EQ(run(b_->deployments.set_configuration("cam-1", "../x", "b", "2")).error().field(), "instance");
  EXPECT_EQ(run(b_->deployments.set_configuration("cam-1", "up", "../b", "2")).error().field(), "topic");
  EXPECT_EQ(run(b_->deployments.set_configuration("cam-1", "up", "b", "\xff")).error().field(), "value");
}

TEST_F(fleet_test, more_than_an_agent_can_receive_is_too_large_and_not_stored) {
  add_device();
  ASSERT_TRUE(run(b_->deployments.set_configuration("cam-1", "up", "a", std::string(100'000, 'x'))));
  EXPECT_EQ(run(b_->deployments.set_configuration("cam-1", "up", "b", std::string(40'000, 'x'))).error().code(),
            errc::too_large);
  EXPECT_EQ(run(b_->deployments.list_configuration("cam-1"))->size(), 1u);
}

TEST_F(fleet_test, an_older_device_s_base64_counts_for_the_bound) {
  add_device();
  b_->states.on_message("cam-1", wire::dialect::evp1);
  EXPECT_EQ(run(b_->deployments.set_configuration("cam-1", "up", "a", std::string(100'000, 'x'))).error().code(),
            errc::too_large);
}

TEST_F(fleet_test, a_blocked_device_gets_no_attributes) {
  add_device();
  ASSERT_TRUE(run(b_->devices.block("cam-1")));
  EXPECT_EQ(run(b_->deployments.shared("cam-1")).error().code(), errc::permission_denied);
}

TEST_F(fleet_test, a_command_gets_the_answer_of_its_own_device_and_id) {
  add_device();
  add_device("cam-2");
  b_->states.on_presence("cam-1", true);
  gateway_.on_command = [&](const std::string&, const wire::command_request& c) {
    EXPECT_FALSE(b_->commands.answer("cam-2", {c.reqid, wire::command_status::ok, "forged", ""}));
    EXPECT_FALSE(b_->commands.answer("cam-1", {"1", wire::command_status::ok, "late", ""}));
    EXPECT_TRUE(b_->commands.answer("cam-1", {c.reqid, wire::command_status::ok, "pong", ""}));
  };
  const auto r = run(b_->commands.call({"cam-1", "up", "ping", ""}));
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->response, "pong");
  EXPECT_EQ(gateway_.commands.at(0).params, "{}");
  EXPECT_EQ(b_->commands.pending(), 0u);
}

TEST_F(fleet_test, a_command_without_an_answer_ends_at_its_limit) {
  add_device();
  b_->states.on_presence("cam-1", true);
  const auto r = run(b_->commands.call({"cam-1", "up", "ping", "", milliseconds(100)}));
  EXPECT_EQ(r.error().code(), errc::deadline_exceeded);
  EXPECT_EQ(b_->commands.pending(), 0u);
}

TEST_F(fleet_test, commands_that_cannot_arrive_are_refused_at_once) {
  EXPECT_EQ(run(b_->commands.call({"nobody", "up", "ping", ""})).error().code(), errc::not_found);
  add_device();
  EXPECT_EQ(run(b_->commands.call({"cam-1", "up", "ping", ""})).error().code(), errc::unavailable);
  b_->states.on_presence("cam-1", true);
  EXPECT_EQ(run(b_->commands.call({"cam-1", "a/b", "ping", ""})).error().field(), "instance");
  EXPECT_EQ(run(b_->commands.call({"cam-1", "up", "", ""})).error().field(), "method");
  EXPECT_EQ(run(b_->commands.call({"cam-1", "up", "p", std::string(70'000, 'x')})).error().code(), errc::too_large);
  EXPECT_FALSE(run(b_->commands.call({"cam-1", "up", "p", "", milliseconds(61'000)})));
  ASSERT_TRUE(run(b_->devices.block("cam-1")));
  EXPECT_EQ(run(b_->commands.call({"cam-1", "up", "ping", ""})).error().code(), errc::failed_precondition);
}

}  // namespace
}  // namespace evp::backend
