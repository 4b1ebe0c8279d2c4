// Attributes both ways, against the exact messages of the public agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/messages.h"

namespace evp::wire {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(reports, the_public_agents_evp2_report_is_read) {
  auto r = decode_client_attributes(
      dialect::evp1,
      R"({"systemInfo":{"os":"Linux","arch":"x86_64","evp_agent":"v1.48.5","protocolVersion":"EVP2-TB"},
          "state/$agent/report-status-interval-min":3,"state/up/status":"g_step = 0",
          "deploymentStatus":{"instances":{"up":{"status":"ok","moduleId":"1111"}},"modules":{},"deploymentId":"dep-0001","reconcileStatus":"ok"}})");
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->protocol, dialect::evp2);
  EXPECT_THAT(r->states, ElementsAre(Pair("$agent/report-status-interval-min", "3"), Pair("up/status", "g_step = 0")));
  EXPECT_THAT(*r->deployment_status, testing::HasSubstr(R"("deploymentId":"dep-0001")"));
  EXPECT_THAT(*r->system_info, testing::HasSubstr("x86_64"));
}

TEST(reports, the_public_agents_evp1_report_is_unwrapped) {
  auto r = decode_client_attributes(
      dialect::evp2,
      R"({"systemInfo":{"utsname":{"sysname":"Linux"},"protocolVersion":"EVP1"},"state/up/status":"Z19zdGVwID0gMA==","deploymentStatus":"{\"instances\":{}}"})");
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->protocol, dialect::evp1);
  EXPECT_THAT(r->states, ElementsAre(Pair("up/status", "g_step = 0")));
  EXPECT_EQ(r->deployment_status, R"({"instances":{}})");
}

TEST(reports, states_follow_the_dialect_that_the_device_has_shown) {
  EXPECT_THAT(decode_client_attributes(dialect::evp1, R"({"state/a/b":"YQ=="})")->states,
              ElementsAre(Pair("a/b", "a")));
  EXPECT_THAT(decode_client_attributes(dialect::evp2, R"({"state/a/b":"YQ=="})")->states,
              ElementsAre(Pair("a/b", "YQ==")));
  EXPECT_EQ(decode_client_attributes(dialect::evp1, R"({"state/a/b":"?"})").error().field(), "state/a/b");
}

TEST(reports, an_empty_one_is_fine_and_an_odd_one_is_not) {
  EXPECT_TRUE(decode_client_attributes(dialect::evp2, "{}"));
  EXPECT_FALSE(decode_client_attributes(dialect::evp2, "[]"));
  EXPECT_FALSE(decode_client_attributes(dialect::evp2, R"({"deploymentStatus":"not json"})"));
  EXPECT_FALSE(decode_client_attributes(dialect::evp2, R"({"deploymentStatus":7})"));
}

TEST(telemetry_messages, come_back_compact) {
  EXPECT_EQ(*decode_telemetry(R"({ "tele/test": {"k":[1, 2,3],"s":"txt"} })"),
            R"({"tele/test":{"k":[1,2,3],"s":"txt"}})");
  EXPECT_FALSE(decode_telemetry("[1]"));
  EXPECT_FALSE(decode_telemetry("{\"a\":\"\xff\"}"));
}

shared_attributes world() {
  shared_attributes s;
  s.deployment =
      R"({"deploymentId":"d","instanceSpecs":{"i":{"moduleId":"m","publish":{},"subscribe":{}}},"modules":{"m":{"moduleImpl":"spawn","entryPoint":"main"}}})";
  s.configuration["up/upload"] = "dir/\"file\"";
  return s;
}

TEST(shared, nothing_is_an_empty_object) {
  EXPECT_EQ(encode_attributes_response(dialect::evp2, {}), "{}");
  EXPECT_EQ(encode_attributes_patch(dialect::evp1, {}), "{}");
}

TEST(shared, evp2_gets_the_object_and_plain_strings) {
  EXPECT_EQ(encode_attributes_response(dialect::evp2, world()),
            R"({"shared":{"deployment":)" + *world().deployment + R"(,"configuration/up/upload":"dir/\"file\""}})");
}

TEST(shared, evp1_gets_a_string_with_what_it_insists_on_and_base64) {
  EXPECT_EQ(
      encode_attributes_response(dialect::evp1, world()),
      R"({"shared":{"deployment":"{\"deploymentId\":\"d\",\"instanceSpecs\":{\"i\":{\"moduleId\":\"m\",\"publish\":{},\"subscribe\":{},\"version\":1,\"entryPoint\":\"main\"}},\"modules\":{\"m\":{\"moduleImpl\":\"spawn\",\"entryPoint\":\"main\"}}}","configuration/up/upload":"ZGlyLyJmaWxlIg=="}})");
}

TEST(shared, a_patch_names_what_is_gone) {
  shared_attributes s;
  s.configuration["tele/a"] = "1";
  s.deleted_configuration = {"tele/test"};
  EXPECT_EQ(encode_attributes_patch(dialect::evp2, s),
            R"({"configuration/tele/a":"1","deleted":["configuration/tele/test"]})");
}

TEST(shared, the_runtime_reads_what_the_hub_writes) {
  auto r = decode_shared_attributes(encode_attributes_response(dialect::evp2, world()), true);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->deployment, world().deployment);
  EXPECT_EQ(r->configuration, world().configuration);

  shared_attributes patch;
  patch.deleted_configuration = {"a/b"};
  patch.configuration["c/d"] = "";
  auto p = decode_shared_attributes(encode_attributes_patch(dialect::evp2, patch), false);
  ASSERT_TRUE(p);
  EXPECT_FALSE(p->deployment);
  EXPECT_EQ(p->configuration, patch.configuration);
  EXPECT_EQ(p->deleted_configuration, patch.deleted_configuration);
}

TEST(shared, unknown_keys_are_ignored_and_wrong_types_refused) {
  auto r = decode_shared_attributes(R"({"shared":{"desiredDeviceConfig":{},"x":1}})", true);
  ASSERT_TRUE(r);
  EXPECT_FALSE(r->deployment);
  EXPECT_TRUE(decode_shared_attributes("{}", true));
  EXPECT_EQ(decode_shared_attributes(R"({"shared":{"deployment":"x"}})", true).error().field(), "deployment");
  EXPECT_EQ(decode_shared_attributes(R"({"deleted":1})", false).error().field(), "deleted");
}

}  // namespace
}  // namespace evp::wire
