// Plans and their renewal, both ways, and everything that a plan from outside may not be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/json.h"
#include "wire/messages.h"

namespace evp::wire {
namespace {

using testing::HasSubstr;

grant_part part(unsigned n, std::uint64_t offset, std::uint64_t length) {
  grant_part p;
  p.number = n;
  p.method = "PUT";
  p.url = secret("https://s/o?partNumber=" + std::to_string(n));
  p.headers = {{"x-a", "1"}};
  p.offset = offset;
  p.length = length;
  p.expect = {200};
  return p;
}

storage_token_response two_parts() {
  storage_token_response r;
  r.reqid = "1";
  r.grant_id = "g1";
  r.expires_at = timestamp(milliseconds(1000));
  r.plan = grant_plan{8 << 20, 2, 4, {part(1, 0, 8 << 20), part(2, 8 << 20, 5)}};
  return r;
}

result<storage_token_response> decode(const std::string& text) {
  TRY(auto r, decode_hub_response("1", text));
  return std::get<storage_token_response>(std::move(r));
}

std::string refusal(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  const auto r = decode(text.replace(at, from.size(), to));
  return r ? "accepted" : r.error().field().substr(std::string("storagetoken-response.").size());
}

TEST(plan, it_survives_a_round_trip_without_the_fields_of_a_single_request) {
  const auto text = encode(dialect::evp2, hub_response(two_parts()));
  EXPECT_THAT(text, testing::Not(HasSubstr("\"URL\"")));
  const auto back = decode(text);
  ASSERT_TRUE(back) << back.error().message();
  ASSERT_TRUE(back->plan);
  EXPECT_EQ(back->grant_id, "g1");
  EXPECT_EQ(back->plan->part_bytes, 8u << 20);
  EXPECT_EQ(back->plan->part_count, 2u);
  EXPECT_EQ(back->plan->parallel, 4u);
  ASSERT_EQ(back->plan->parts.size(), 2u);
  const auto& second = back->plan->parts[1];
  EXPECT_EQ(second.number, 2u);
  EXPECT_EQ(second.method, "PUT");
  EXPECT_EQ(second.url.reveal(), "https://s/o?partNumber=2");
  EXPECT_EQ(second.headers, (std::vector<name_value>{{"x-a", "1"}}));
  EXPECT_EQ(second.offset, 8u << 20);
  EXPECT_EQ(second.length, 5u);
  EXPECT_EQ(second.expect, std::vector<int>{200});
  EXPECT_TRUE(second.body_prefix.empty());
}

TEST(plan, text_around_the_bytes_travels_with_its_part) {
  auto r = two_parts();
  r.plan->part_count = 1;
  r.plan->parts.resize(1);
  r.plan->parts[0].method = "POST";
  r.plan->parts[0].body_prefix = secret("--b\r\n\r\n");
  r.plan->parts[0].body_suffix = secret("\r\n--b--\r\n");
  const auto back = decode(encode(dialect::evp2, hub_response(r)));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->plan->parts[0].body_prefix.reveal(), "--b\r\n\r\n");
  EXPECT_EQ(back->plan->parts[0].body_suffix.reveal(), "\r\n--b--\r\n");
}

TEST(plan, each_thing_that_no_plan_may_hold_is_named_by_its_path) {
  const auto text = encode(dialect::evp2, hub_response(two_parts()));
  EXPECT_EQ(refusal(text, R"("version":1)", R"("version":2)"), "plan.version");
  EXPECT_EQ(refusal(text, R"("partCount":2)", R"("partCount":1)"), "plan.parts");
  EXPECT_EQ(refusal(text, R"("partCount":2)", R"("partCount":50001)"), "plan.partCount");
  EXPECT_EQ(refusal(text, R"("parallel":4)", R"("parallel":0)"), "plan.parallel");
  EXPECT_EQ(refusal(text, R"("partSize":"8388608")", R"("partSize":8388608)"), "plan.partSize");
  EXPECT_EQ(refusal(text, R"("n":2)", R"("n":3)"), "plan.parts[1]");
  EXPECT_EQ(refusal(text, R"("n":1)", R"("n":0)"), "plan.parts[0].n");
  EXPECT_EQ(refusal(text, R"("method":"PUT")", R"("method":"DELETE")"), "plan.parts[0].method");
  EXPECT_EQ(refusal(text, R"("url":"https)", R"("url":"ht tps)"), "plan.parts[0].url");
  EXPECT_EQ(refusal(text, R"("length":"8388608")", R"("length":"18446744073709551615")"), "plan.parts[0].length");
  EXPECT_EQ(refusal(text, R"("length":"5")", R"("length":"5","bodyPrefix":")" + std::string(8193, 'x') + "\""),
            "plan.parts[1].bodyPrefix");
  EXPECT_EQ(refusal(text, R"("x-a":"1")", R"("x-a":"1\n")"), "plan.parts[0].headers.x-a");
}

TEST(plan, a_page_has_a_bound) {
  auto r = two_parts();
  r.plan->part_count = 100;
  r.plan->parts.clear();
  for (unsigned n = 1; n <= max_page_parts + 1; ++n) r.plan->parts.push_back(part(n, n, 1));
  const auto back = decode(encode(dialect::evp2, hub_response(r)));
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().field(), "storagetoken-response.plan.parts");
}

TEST(grant_renewal, request_and_answer_survive_a_round_trip) {
  const grant_renew_request asked{"7", "g1", 65, 128};
  const auto heard = decode_device_request("7", encode(device_request(asked)));
  ASSERT_TRUE(heard) << heard.error().message();
  const auto& request = std::get<grant_renew_request>(heard->second);
  EXPECT_EQ(request.reqid, "7");
  EXPECT_EQ(request.grant_id, "g1");
  EXPECT_EQ(request.first_part, 65u);
  EXPECT_EQ(request.last_part, 128u);

  grant_renew_response answer{"7", {}, milliseconds(120'000), {part(65, 100, 10)}};
  const auto back = decode_hub_response("7", encode(dialect::evp2, hub_response(answer)));
  ASSERT_TRUE(back) << back.error().message();
  const auto& response = std::get<grant_renew_response>(*back);
  EXPECT_EQ(response.expires_in, milliseconds(120'000));
  ASSERT_EQ(response.parts.size(), 1u);
  EXPECT_EQ(response.parts[0].number, 65u);
}

TEST(grant_renewal, a_failure_travels_as_for_every_request) {
  const grant_renew_response answer{"7", error(errc::not_found, "the upload is gone"), {}, {}};
  const auto back = decode_hub_response("7", encode(dialect::evp2, hub_response(answer)));
  ASSERT_TRUE(back);
  const auto& failure = std::get<grant_renew_response>(*back).failure;
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code(), errc::not_found);
}

TEST(grant_renewal, a_range_that_is_none_is_refused_by_name) {
  for (const std::string range : {"null", "[1]", "[2,1]", "[0,1]", "[1,50001]", "[\"1\",\"2\"]", "{}"}) {
    const auto r = decode_device_request(
        "7", R"({"method":"evp-d2c","params":{"grant-renew":{"grantId":"g","parts":)" + range + "}}}");
    ASSERT_FALSE(r) << range;
    EXPECT_THAT(r.error().field(), HasSubstr("parts")) << range;
  }
}

}  // namespace
}  // namespace evp::wire
