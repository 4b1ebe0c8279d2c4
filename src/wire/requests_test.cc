// Storage tokens, certificates and reports, both ways, against the exact messages of the public agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/json.h"
#include "wire/messages.h"

namespace evp::wire {
namespace {

constexpr std::string_view agents_request =
    R"({"method":"evp-d2c","params":{"storagetoken-request":{"reqid":"10006","filename":"dir/remote-file.bin","moduleInstanceId":"up","key":"mystorage"}}})";

timestamp at(std::int64_t ms) { return timestamp(milliseconds(ms)); }

TEST(token_request, the_public_agents_message_is_read) {
  auto r = decode_device_request("10006", agents_request);
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->first, dialect::evp2);
  const auto& t = std::get<storage_token_request>(r->second);
  EXPECT_EQ(t.reqid, "10006");
  EXPECT_EQ(t.filename, "dir/remote-file.bin");
  EXPECT_EQ(t.instance, "up");
  EXPECT_EQ(t.key, "mystorage");
  EXPECT_TRUE(t.accept.empty());
  EXPECT_FALSE(t.offline);
}

TEST(token_request, an_evp1_message_is_told_by_its_form) {
  auto r = decode_device_request(
      "10007", R"({"method":"StorageToken","params":{"filename":"f","moduleInstanceName":"up","storageName":"s"}})");
  ASSERT_TRUE(r) << r.error().message();
  EXPECT_EQ(r->first, dialect::evp1);
  const auto& t = std::get<storage_token_request>(r->second);
  EXPECT_EQ(t.reqid, "10007");
  EXPECT_EQ(t.instance, "up");
  EXPECT_EQ(t.key, "s");
}

TEST(token_request, ours_survives_a_round_trip) {
  storage_token_request t{.reqid = "10001", .filename = "写真/1.jpg", .instance = "cam"};
  t.operation = blob_operation::get;
  t.size = UINT64_MAX;
  t.sha256 = std::string(64, 'a');
  t.content_type = "image/jpeg";
  t.accept = {"certificate/1", "report/1"};
  t.offline = true;
  auto r = decode_device_request("10001", encode(device_request(t)));
  ASSERT_TRUE(r) << r.error().message();
  const auto& back = std::get<storage_token_request>(r->second);
  EXPECT_EQ(back.filename, t.filename);
  EXPECT_EQ(back.key, std::nullopt);
  EXPECT_EQ(back.operation, blob_operation::get);
  EXPECT_EQ(back.size, UINT64_MAX);
  EXPECT_EQ(back.sha256, t.sha256);
  EXPECT_EQ(back.content_type, t.content_type);
  EXPECT_TRUE(back.accepts("report/1"));
  EXPECT_FALSE(back.accepts("plan/1"));
  EXPECT_TRUE(back.offline);
}

TEST(token_request, without_extensions_ours_is_byte_for_byte_the_public_agents) {
  const storage_token_request t{
      .reqid = "10006", .filename = "dir/remote-file.bin", .instance = "up", .key = "mystorage"};
  EXPECT_EQ(encode(device_request(t)), agents_request);
}

TEST(token_request, a_reqid_that_is_missing_or_bad_gives_way_to_the_topics_id) {
  for (const auto reqid : {"", R"("reqid":"x",)", R"("reqid":7,)", R"("reqid":null,)"}) {
    const auto text = std::string(R"({"method":"evp-d2c","params":{"storagetoken-request":{)") + reqid +
                      R"("filename":"f","moduleInstanceId":"i"}}})";
    auto r = decode_device_request("10009", text);
    ASSERT_TRUE(r) << text;
    EXPECT_EQ(reqid_of(r->second), "10009");
  }
}

TEST(token_request, each_wrong_field_is_named_by_its_path) {
  const std::pair<std::string, std::string> cases[] = {
      {R"("filename":1,"moduleInstanceId":"i")", "filename"},
      {R"("filename":"f")", "moduleInstanceId"},
      {R"("filename":"f","moduleInstanceId":"i","key":{})", "key"},
      {R"("filename":"f","moduleInstanceId":"i","operation":"delete")", "operation"},
      {R"("filename":"f","moduleInstanceId":"i","size":5)", "size"},
      {R"("filename":"f","moduleInstanceId":"i","size":"-5")", "size"},
      {R"("filename":"f","moduleInstanceId":"i","sha256":"abc")", "sha256"},
      {R"("filename":"f","moduleInstanceId":"i","contentType":"a\r\nX: y")", "contentType"},
      {R"("filename":"f","moduleInstanceId":"i","accept":"report/1")", "accept"},
      {R"("filename":"f","moduleInstanceId":"i","accept":[1])", "accept"},
      {R"("filename":"f","moduleInstanceId":"i","offline":"true")", "offline"},
  };
  for (const auto& [body, field] : cases) {
    auto r = decode_device_request("1", R"({"method":"evp-d2c","params":{"storagetoken-request":{)" + body + "}}}");
    ASSERT_FALSE(r) << body;
    EXPECT_EQ(r.error().code(), errc::invalid_argument) << body;
    EXPECT_EQ(r.error().field(), "params.storagetoken-request." + field);
  }
}

TEST(token_request, hostile_messages_are_refused) {
  EXPECT_EQ(decode_device_request("1", "[]").error().code(), errc::invalid_argument);
  EXPECT_EQ(decode_device_request("1", "").error().code(), errc::invalid_argument);
  EXPECT_EQ(decode_device_request("x", agents_request).error().code(), errc::invalid_argument);
  EXPECT_EQ(decode_device_request("1", std::string(max_message_bytes + 1, ' ')).error().code(), errc::too_large);
  EXPECT_EQ(decode_device_request("1", R"({"method":"m","params":{}})").error().code(), errc::unsupported);
  EXPECT_EQ(decode_device_request("1", R"({"method":"evp-d2c","params":{"x":{}}})").error().code(), errc::unsupported);
  EXPECT_EQ(decode_device_request("1", R"({"method":"evp-d2c","params":"{}"})").error().field(), "params");
  EXPECT_EQ(decode_device_request("1", R"({"method":"evp-d2c","method":"evp-d2c","params":{}})").error().field(),
            "method");
  EXPECT_FALSE(decode_device_request(
      "1", "{\"method\":\"evp-d2c\",\"params\":" + std::string(40, '[') + std::string(40, ']') + "}"));
}

TEST(other_requests, a_certificate_request_and_a_report_survive_a_round_trip) {
  auto c = decode_device_request("3", encode(device_request(certificate_request{"3", "sha256:ab"})));
  ASSERT_TRUE(c);
  EXPECT_EQ(std::get<certificate_request>(c->second).certificate_id, "sha256:ab");

  transfer_report report{.reqid = "4", .grant_id = "g1", .done = true, .http_status = 201, .bytes = 1ULL << 40};
  report.sha256 = std::string(64, '0');
  auto r = decode_device_request("4", encode(device_request(report)));
  ASSERT_TRUE(r) << r.error().message();
  const auto& back = std::get<transfer_report>(r->second);
  EXPECT_TRUE(back.done);
  EXPECT_EQ(back.grant_id, "g1");
  EXPECT_EQ(back.http_status, 201);
  EXPECT_EQ(back.bytes, 1ULL << 40);
  EXPECT_EQ(back.sha256, report.sha256);
}

TEST(other_requests, a_report_with_an_unknown_result_is_refused) {
  auto r = decode_device_request(
      "4", R"({"method":"evp-d2c","params":{"transfer-report":{"grantId":"g","result":"maybe"}}})");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().field(), "params.transfer-report.result");
}

TEST(token_response, is_exactly_what_the_public_agent_expects) {
  storage_token_response t{.reqid = "10006", .url = secret("http://s/o?sig=a%2Fb")};
  t.headers = {{"x-ms-blob-type", "BlockBlob"}};
  t.expires_at = at(1795371410602);
  EXPECT_EQ(
      encode(dialect::evp2, hub_response(t)),
      R"({"storagetoken-response":{"reqid":"10006","status":"ok","URL":"http://s/o?sig=a%2Fb","expiresAtMillis":"1795371410602","responseType":"singlefile","headers":{"x-ms-blob-type":"BlockBlob"}}})");
  EXPECT_EQ(
      encode(dialect::evp1, hub_response(t)),
      R"({"method":"StorageToken","params":{"status":"ok","URL":"http://s/o?sig=a%2Fb","headers":{"x-ms-blob-type":"BlockBlob"},"expiresAtMillis":"1795371410602","responseType":"singlefile"}})");
}

TEST(token_response, a_failure_carries_a_text_for_all_and_a_code_for_ours) {
  storage_token_response t{.reqid = "5"};
  t.failure = error(errc::unavailable, "the storage is away: try later").after(milliseconds(1500));
  EXPECT_EQ(
      encode(dialect::evp2, hub_response(t)),
      R"({"storagetoken-response":{"reqid":"5","status":"error","errorMessage":"the storage is away: try later","errorCode":"unavailable","retryAfterMillis":"1500"}})");
  EXPECT_EQ(encode(dialect::evp1, hub_response(t)),
            R"({"method":"StorageToken","params":{"status":"error","errorMessage":"the storage is away: try later"}})");
  auto back = decode_hub_response("5", encode(dialect::evp2, hub_response(t)));
  ASSERT_TRUE(back);
  const auto& failure = std::get<storage_token_response>(*back).failure;
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), errc::unavailable);
  EXPECT_EQ(failure->retry_after(), milliseconds(1500));
}

TEST(token_response, ours_survives_a_round_trip) {
  storage_token_response t{.reqid = "6", .url = secret("https://s/o?a=b")};
  t.headers = {{"b", "2"}, {"a", "1 é"}};
  t.expires_at = at(1795371410602);
  t.operation = blob_operation::get;
  t.grant_id = "g7";
  t.certificate_id = "sha256:" + std::string(64, 'c');
  t.expires_in = milliseconds(120000);
  t.expect = {200, 201};
  t.create_only = true;
  t.offline = true;
  auto r = decode_hub_response("999", encode(dialect::evp2, hub_response(t)));
  ASSERT_TRUE(r) << r.error().message();
  const auto& back = std::get<storage_token_response>(*r);
  EXPECT_EQ(back.reqid, "6");
  EXPECT_EQ(back.url, t.url);
  EXPECT_EQ(back.headers, t.headers);
  EXPECT_EQ(back.expires_at, t.expires_at);
  EXPECT_EQ(back.operation, blob_operation::get);
  EXPECT_EQ(back.grant_id, "g7");
  EXPECT_EQ(back.certificate_id, t.certificate_id);
  EXPECT_EQ(back.expires_in, t.expires_in);
  EXPECT_EQ(back.expect, t.expect);
  EXPECT_TRUE(back.create_only);
  EXPECT_TRUE(back.offline);
}

TEST(token_response, an_older_hub_is_understood_as_the_public_agent_does) {
  const auto decode = [](std::string body) {
    return decode_hub_response("8", "{\"storagetoken-response\":{" + body + "}}");
  };
  auto weird = decode(R"("status":"weird","URL":"http://h/p","expiresAtMillis":17,"more":[1])");
  ASSERT_TRUE(weird) << weird.error().message();
  EXPECT_EQ(std::get<storage_token_response>(*weird).reqid, "8");
  EXPECT_EQ(std::get<storage_token_response>(*weird).expires_at, std::nullopt);

  auto refused = decode(R"("status":"ok","URL":"http://h/p","errorMessage":"no")");
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<storage_token_response>(*refused).failure->message(), "no");
  EXPECT_FALSE(is_temporary(std::get<storage_token_response>(*refused).failure->code()));

  EXPECT_FALSE(decode(R"("URL":"http://h/p","expiresAtMillis":"soon")"));
  EXPECT_FALSE(decode(R"("URL":"http://h/p","responseType":"zipfile")"));
  EXPECT_FALSE(decode(R"("status":"ok")"));
  EXPECT_FALSE(decode_hub_response("8", R"({"error":"timeout"})"));
}

TEST(token_response, what_would_break_a_request_is_refused) {
  const auto field_of = [](std::string body) {
    auto r = decode_hub_response("8", "{\"storagetoken-response\":{" + body + "}}");
    return r ? std::string("accepted") : r.error().field();
  };
  EXPECT_EQ(field_of(R"("URL":"http://h/p q")"), "storagetoken-response.URL");
  EXPECT_EQ(field_of(R"("URL":"http://h/\r\nX: y")"), "storagetoken-response.URL");
  EXPECT_EQ(field_of(R"("URL":"http://h/","headers":{"a":"b\r\nc: d"})"), "storagetoken-response.headers.a");
  EXPECT_EQ(field_of(R"("URL":"http://h/","headers":{"a b":"c"})"), "storagetoken-response.headers.a b");
  EXPECT_EQ(field_of(R"("URL":"http://h/","headers":{"a":1})"), "storagetoken-response.headers.a");
  EXPECT_EQ(field_of(R"("URL":"http://h/","expiresAtMillis":"99999999999999999")"),
            "storagetoken-response.expiresAtMillis");
}

TEST(other_responses, survive_a_round_trip) {
  const certificate_response c{.reqid = "1", .certificate_id = "sha256:x", .pem = "-----BEGIN\nA\n"};
  auto rc = decode_hub_response("1", encode(dialect::evp2, hub_response(c)));
  ASSERT_TRUE(rc);
  EXPECT_EQ(std::get<certificate_response>(*rc).pem, c.pem);

  transfer_report_response ok{.reqid = "2", .verified = true};
  auto ro = decode_hub_response("2", encode(dialect::evp2, hub_response(ok)));
  ASSERT_TRUE(ro);
  EXPECT_TRUE(std::get<transfer_report_response>(*ro).verified);
  EXPECT_FALSE(std::get<transfer_report_response>(*ro).failure);

  transfer_report_response bad{.reqid = "3", .failure = error(errc::data_corrupt, "sizes differ")};
  auto rb = decode_hub_response("3", encode(dialect::evp2, hub_response(bad)));
  ASSERT_TRUE(rb);
  EXPECT_EQ(std::get<transfer_report_response>(*rb).failure->code(), errc::data_corrupt);
}

}  // namespace
}  // namespace evp::wire
