// Direct commands against the exact messages of the public agent.
#include <gtest/gtest.h>

#include "wire/messages.h"

namespace evp::wire {
namespace {

const command_request echo{.reqid = "9001", .instance = "rpc", .method = "echo", .params = R"({"hello":"world"})"};

TEST(commands, both_dialects_are_written_exactly) {
  EXPECT_EQ(
      *encode(dialect::evp2, echo),
      R"({"method":"evp-c2d","params":{"direct-command-request":{"reqid":"9001","method":"echo","instance":"rpc","params":"{\"hello\":\"world\"}"}}})");
  EXPECT_EQ(
      *encode(dialect::evp1, echo),
      R"({"method":"ModuleMethodCall","params":{"moduleInstance":"rpc","moduleMethod":"echo","params":{"hello":"world"}}})");
}

TEST(commands, parameters_that_are_no_json_are_refused) {
  auto c = echo;
  c.params = "{hello}";
  EXPECT_EQ(encode(dialect::evp2, c).error().field(), "params");
  c.params = "\"" + std::string(max_message_bytes - 100, 'x') + "\"";
  EXPECT_EQ(encode(dialect::evp1, c).error().code(), errc::too_large);
  c = echo;
  c.reqid = "a";
  EXPECT_EQ(encode(dialect::evp2, c).error().field(), "reqid");
}

TEST(commands, a_device_reads_parameters_as_a_string_and_as_json) {
  auto text = decode_command_request("1", *encode(dialect::evp2, echo));
  ASSERT_TRUE(text) << text.error().message();
  EXPECT_EQ(text->reqid, "9001");
  EXPECT_EQ(text->instance, "rpc");
  EXPECT_EQ(text->method, "echo");
  EXPECT_EQ(text->params, echo.params);

  auto object = decode_command_request(
      "7",
      R"({"method":"evp-c2d","params":{"direct-command-request":{"method":"m","instance":"i","params":{"a":[1, 2]}}}})");
  ASSERT_TRUE(object);
  EXPECT_EQ(object->reqid, "7");
  EXPECT_EQ(object->params, R"({"a":[1,2]})");
}

TEST(commands, a_malformed_command_is_refused) {
  EXPECT_EQ(decode_command_request("1", R"({"method":"reboot","params":{}})").error().code(), errc::unsupported);
  EXPECT_FALSE(decode_command_request("1", R"({"method":"evp-c2d","params":{}})"));
  EXPECT_FALSE(
      decode_command_request("1", R"({"method":"evp-c2d","params":{"direct-command-request":{"method":"m"}}})"));
}

TEST(command_answers, of_the_public_agent_are_read) {
  auto ok = decode_command_response(
      "1", R"({"direct-command-response":{"status":"ok","reqid":"9001","response":"{\"hello\":\"world\"}"}})");
  ASSERT_TRUE(ok);
  EXPECT_EQ(ok->reqid, "9001");
  EXPECT_EQ(ok->status, command_status::ok);
  EXPECT_EQ(ok->response, R"({"hello":"world"})");

  auto bad = decode_command_response(
      "4",
      R"({"direct-command-response":{"status":"error","errorMessage":"Unknown error","reqid":"9004","response":"{\"error\":\"Instance not found\"}"}})");
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->status, command_status::error);
  EXPECT_EQ(bad->error_message, "Unknown error");
}

TEST(command_answers, of_evp1_are_read) {
  auto ok = decode_command_response("1", R"({"moduleInstance":"rpc","response":{"hello":"world"},"status":0})");
  ASSERT_TRUE(ok);
  EXPECT_EQ(ok->reqid, "1");
  EXPECT_EQ(ok->response, R"({"hello":"world"})");
  auto missing = decode_command_response("2", R"({"moduleInstance":"rpc","response":"Unknown method","status":1})");
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status, command_status::method_not_found);
  EXPECT_FALSE(decode_command_response("2", R"({"moduleInstance":"rpc","status":3})"));
  EXPECT_FALSE(decode_command_response("2", "{}"));
}

TEST(command_answers, ours_survive_a_round_trip) {
  for (const auto status : {command_status::ok, command_status::method_not_found, command_status::error}) {
    auto back = decode_command_response("1", encode(command_response{"12", status, "{\"a\":1}", ""}));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->reqid, "12");
    EXPECT_EQ(back->status, status);
    EXPECT_EQ(back->response, "{\"a\":1}");
  }
}

}  // namespace
}  // namespace evp::wire
