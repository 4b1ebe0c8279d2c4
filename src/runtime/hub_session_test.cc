// The hub session against a real mosquitto and a scripted hub.
#include "runtime/hub_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/test_hub.h"

namespace evp::runtime {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* attributes = "v1/devices/me/attributes";
constexpr const char* get_request = "v1/devices/me/attributes/request/10000";
constexpr const char* get_response = "v1/devices/me/attributes/response/10000";
constexpr const char* manifest =
    R"({"deploymentId":"dep-1","instanceSpecs":{"up":{"moduleId":"m1","publish":{},"subscribe":{}}},)"
    R"("modules":{"m1":{"moduleImpl":"spawn","entryPoint":"main","downloadUrl":"","hash":""}}})";

class hub_session_test : public testing::Test {
 protected:
  hub_session_test() {
    options_.reports.interval_min = seconds(1);
    options_.get_resend = milliseconds(200);
    std::string pattern = testing::TempDir() + "hub_session-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    broker_.start();
  }
  ~hub_session_test() override {
    if (session_) run_task(ctx_, session_->stop(milliseconds(500)));
    session_.reset();
    disk_.join();
    hub_.reset();
    io::fs::remove_all(folder_);
  }
  void start_hub() { hub_ = std::make_unique<test_hub>(ctx_, broker_.port()); }
  void start_session() {
    mqtt::options o;
    o.port = broker_.port();
    o.reconnect_min = milliseconds(20);
    o.reconnect_max = milliseconds(100);
    twins_ = std::make_unique<twin_store>(folder_ / "twins");
    session_ = std::make_unique<hub_session>(ctx_.get_executor(), clock_, o, options_, *twins_, disk_);
    hub_events events;
    events.connected = [this] { ++connected_; };
    events.disconnected = [this] { ++disconnected_; };
    events.answer = [this](std::string_view id, result<wire::hub_response> r) {
      answers_.emplace_back(id, std::move(r));
    };
    session_->start(modules_, std::move(events));
  }
  void stop_session() {
    run_task(ctx_, session_->stop(milliseconds(500)));
    session_.reset();
  }
  bool wait_for(const std::function<bool()>& holds) { return run_until(ctx_, holds); }
  std::string saved() {
    const auto text = io::read_file(folder_ / "twins/desired", 1 << 20);
    return text ? *text : std::string();
  }

  boost::asio::io_context ctx_{1};
  mqtt::test_broker broker_;
  io::fs::path folder_;
  io::system_clock clock_;
  io::pool disk_{1};
  hub_session_options options_;
  fake_instances modules_;
  std::unique_ptr<test_hub> hub_;
  std::unique_ptr<twin_store> twins_;
  std::unique_ptr<hub_session> session_;
  int connected_ = 0, disconnected_ = 0;
  std::vector<std::pair<std::string, result<wire::hub_response>>> answers_;
};

TEST_F(hub_session_test, a_connection_begins_with_status_states_and_the_attributes_request) {
  modules_.values["up/status"] = "fine";
  start_hub();
  start_session();
  const auto status = hub_->expect(attributes);
  EXPECT_THAT(status, HasSubstr(R"("protocolVersion":"EVP2-TB")"));
  EXPECT_THAT(status, HasSubstr(R"("state/$agent/report-status-interval-max":180)"));
  EXPECT_THAT(status, HasSubstr(R"("deploymentStatus":{"instances":{},"modules":{},)"));
  EXPECT_EQ(hub_->expect(attributes), R"({"state/up/status":"fine"})");
  EXPECT_EQ(hub_->expect(get_request), "{}");
  EXPECT_GE(modules_.sent, 1);
  EXPECT_EQ(connected_, 1);
}

TEST_F(hub_session_test, the_attributes_request_is_repeated_until_it_is_answered) {
  start_hub();
  start_session();
  hub_->expect(get_request);
  hub_->expect(get_request);
  hub_->publish(get_response, "{}");
  hub_->expect(get_response);
  EXPECT_TRUE(modules_.applied.empty()) << "an empty answer takes nothing away and gives nothing";
}

TEST_F(hub_session_test, a_deployment_is_applied_and_survives_a_restart_without_a_hub) {
  start_hub();
  start_session();
  hub_->answer_get(std::string(R"({"shared":{"deployment":)") + manifest + R"(,"configuration/up/t":"v"}})");
  ASSERT_TRUE(wait_for([&] { return modules_.applied.size() == 1 && !saved().empty(); }));
  EXPECT_EQ(modules_.applied[0].id, "dep-1");
  EXPECT_EQ(modules_.configurations.back().at("up/t"), "v");
  stop_session();
  broker_.stop();

  modules_.applied.clear();
  modules_.configurations.clear();
  start_session();
  ASSERT_EQ(modules_.applied.size(), 1U);
  EXPECT_EQ(modules_.applied[0].id, "dep-1");
  EXPECT_EQ(modules_.configurations.at(0).at("up/t"), "v");
}

TEST_F(hub_session_test, an_invalid_manifest_is_reported_and_never_kept) {
  start_hub();
  start_session();
  hub_->answer_get(std::string(R"({"shared":{"deployment":)") + manifest + "}}");
  ASSERT_TRUE(wait_for([&] { return !saved().empty(); }));
  const auto before = saved();
  hub_->publish(attributes,
                R"({"deployment":{"deploymentId":"dep-2","instanceSpecs":{"up":{"moduleId":"gone"}},"modules":{}}})");
  const auto report = hub_->expect(attributes, R"("reconcileStatus":"error")");
  EXPECT_THAT(report, HasSubstr(R"("deploymentId":"dep-2")"));
  EXPECT_THAT(report, HasSubstr("instanceSpecs.up"));
  EXPECT_EQ(saved(), before);
  EXPECT_EQ(modules_.applied.size(), 1U);

  hub_->publish(attributes, std::string(R"({"deployment":)") + manifest + "}");  // the hub corrects itself
  EXPECT_THAT(hub_->expect(attributes, "systemInfo"), Not(HasSubstr(R"("reconcileStatus":"error")")));
}

TEST_F(hub_session_test, patches_merge_and_delete_configuration) {
  start_hub();
  start_session();
  hub_->answer_get(R"({"shared":{"configuration/up/a":"1","configuration/up/b":"2"}})");
  ASSERT_TRUE(wait_for([&] { return !modules_.configurations.empty(); }));
  hub_->publish(attributes, R"({"configuration/up/b":"3"})");
  hub_->publish(attributes, R"({"deleted":["configuration/up/a"]})");
  const std::map<std::string, std::string> wanted{{"up/b", "3"}};
  EXPECT_TRUE(wait_for([&] { return modules_.configurations.back() == wanted; }));
}

TEST_F(hub_session_test, a_patch_before_the_answer_counts_and_leads_to_one_more_request) {
  options_.get_resend = seconds(60);
  start_hub();
  start_session();
  hub_->expect(get_request);
  hub_->publish(attributes, R"({"configuration/up/a":"new"})");
  ASSERT_TRUE(wait_for([&] { return !modules_.configurations.empty(); }));
  hub_->publish(get_response, R"({"shared":{"configuration/up/a":"old"}})");
  hub_->expect(get_request);
  hub_->publish(get_response, R"({"shared":{"configuration/up/a":"new"}})");
  EXPECT_TRUE(wait_for(
      [&] { return modules_.configurations.size() == 3 && modules_.configurations.back().at("up/a") == "new"; }));
}

TEST_F(hub_session_test, nothing_is_written_when_nothing_has_changed) {
  start_hub();
  start_session();
  const auto answer = std::string(R"({"shared":{"deployment":)") + manifest + "}}";
  hub_->answer_get(answer);
  ASSERT_TRUE(wait_for([&] { return !saved().empty(); }));
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat((folder_ / "twins/desired").c_str(), &before), 0);
  hub_->publish(get_response, answer);
  hub_->publish(attributes,
                R"({"desiredDeviceConfig":{"desiredDeviceConfig":{"configuration/$agent/configuration-id":"c"}}})");
  hub_->expect(attributes, R"("state/$agent/configuration-id":"c")");  // by then the answer has been handled
  stop_session();
  ASSERT_EQ(::stat((folder_ / "twins/desired").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "a durable replacement would be another file";
  EXPECT_EQ(modules_.applied.size(), 1U);
}

TEST_F(hub_session_test, the_hub_sets_the_report_intervals) {
  start_hub();
  start_session();
  hub_->answer_get(
      R"({"shared":{"desiredDeviceConfig":{"desiredDeviceConfig":{"configuration/$agent/report-status-interval-max":60,)"
      R"("configuration/$agent/report-status-interval-min":2,"configuration/$agent/registry-auth":null}}}})");
  EXPECT_THAT(hub_->expect(attributes, R"(interval-max":60)"), HasSubstr(R"(interval-min":2)"));
}

TEST_F(hub_session_test, changed_states_are_reported_after_the_interval_and_only_once) {
  start_hub();
  start_session();
  hub_->answer_get("{}");
  hub_->expect(get_response);
  const auto began = clock_.steady();
  modules_.values["up/n"] = "1";
  session_->report_changed();
  modules_.values["up/n"] = "2";
  session_->report_changed();
  EXPECT_EQ(hub_->expect(attributes, "state/up/n"), R"({"state/up/n":"2"})");
  EXPECT_LT(clock_.steady() - began, options_.reports.interval_max / 2) << "not when the longest interval ends";
}

TEST_F(hub_session_test, states_repeat_at_the_longest_interval_without_a_change) {
  options_.reports.interval_max = seconds(1);
  start_hub();
  start_session();
  for (int i = 0; i < 3; ++i) hub_->expect(attributes, "systemInfo");
}

TEST_F(hub_session_test, telemetry_waits_for_the_broker_and_is_called_sent_only_then) {
  broker_.stop();
  start_session();
  std::vector<bool> told;
  ASSERT_TRUE(session_->send_telemetry(R"({"up/t":1})", [&](bool sent) { told.push_back(sent); }));
  ASSERT_TRUE(wait_for([&] { return disconnected_ >= 2; }));
  EXPECT_TRUE(told.empty());
  broker_.start();
  ASSERT_TRUE(wait_for([&] { return told.size() == 1; }));
  EXPECT_TRUE(told[0]);
}

TEST_F(hub_session_test, telemetry_that_cannot_be_sent_in_time_is_not_called_sent) {
  options_.telemetry.max_wait = milliseconds(100);
  broker_.stop();
  start_session();
  std::vector<bool> told;
  ASSERT_TRUE(session_->send_telemetry("{}", [&](bool sent) { told.push_back(sent); }));
  ASSERT_TRUE(wait_for([&] { return told.size() == 1; }));
  EXPECT_FALSE(told[0]);
}

TEST_F(hub_session_test, telemetry_is_bounded) {
  options_.telemetry.max_messages = 2;
  broker_.stop();
  start_session();
  EXPECT_TRUE(session_->send_telemetry("{}", nullptr));
  EXPECT_TRUE(session_->send_telemetry("{}", nullptr));
  EXPECT_EQ(session_->send_telemetry("{}", nullptr).error().code(), errc::rate_limited);
  EXPECT_EQ(session_->send_telemetry(std::string(128 * 1024, ' '), nullptr).error().code(), errc::too_large);
}

std::string command(const std::string& reqid, const std::string& instance, const std::string& method) {
  return R"({"method":"evp-c2d","params":{"direct-command-request":{"reqid":")" + reqid + R"(","method":")" + method +
         R"(","instance":")" + instance + R"(","params":"{}"}}})";
}

TEST_F(hub_session_test, commands_reach_their_instance_once_and_are_answered) {
  start_hub();
  start_session();
  hub_->expect(get_request);
  hub_->publish("v1/devices/me/rpc/request/7", command("9001", "up", "snap"));
  const auto answer = hub_->expect("v1/devices/me/rpc/response/7");
  EXPECT_THAT(answer, HasSubstr(R"("reqid":"9001")"));
  EXPECT_THAT(answer, HasSubstr(R"("status":"ok")"));
  hub_->publish("v1/devices/me/rpc/request/7", command("9001", "up", "snap"));  // doubled
  hub_->publish("v1/devices/me/rpc/request/8", command("9002", "up", "next"));
  hub_->expect("v1/devices/me/rpc/response/8");
  ASSERT_EQ(modules_.commands.size(), 2U);
  EXPECT_EQ(modules_.commands[1].method, "next");
}

TEST_F(hub_session_test, commands_that_nobody_can_take_are_answered_with_an_error) {
  start_hub();
  start_session();
  hub_->expect(get_request);
  hub_->publish("v1/devices/me/rpc/request/1", command("1", "nobody", "x"));
  EXPECT_THAT(hub_->expect("v1/devices/me/rpc/response/1"), HasSubstr(R"("status":"error")"));
  hub_->publish("v1/devices/me/rpc/request/2", command("2", "up", "$agent/set"));
  EXPECT_THAT(hub_->expect("v1/devices/me/rpc/response/2"), HasSubstr("Method not found"));
}

TEST_F(hub_session_test, requests_of_the_engine_go_out_and_answers_come_back) {
  start_hub();
  start_session();
  hub_->expect(get_request);
  wire::storage_token_request r;
  r.reqid = "10006";
  r.filename = "a/b.bin";
  r.instance = "up";
  session_->send(r);
  EXPECT_THAT(hub_->expect("v1/devices/me/rpc/request/10006"), HasSubstr("storagetoken-request"));
  hub_->publish("v1/devices/me/rpc/response/10006",
                R"({"storagetoken-response":{"reqid":"10006","status":"ok","URL":"http://s/x","headers":{}}})");
  ASSERT_TRUE(wait_for([&] { return !answers_.empty(); }));
  EXPECT_EQ(answers_[0].first, "10006");
  ASSERT_TRUE(answers_[0].second);
  EXPECT_EQ(std::get<wire::storage_token_response>(*answers_[0].second).url, secret("http://s/x"));
}

TEST_F(hub_session_test, after_an_outage_it_reports_and_asks_again) {
  start_session();
  ASSERT_TRUE(wait_for([&] { return connected_ == 1; }));
  broker_.stop();
  ASSERT_TRUE(wait_for([&] { return disconnected_ >= 1; }));
  broker_.start();
  ASSERT_TRUE(wait_for([&] { return connected_ == 2; }));
  start_hub();
  hub_->expect(get_request);
}

}  // namespace
}  // namespace evp::runtime
