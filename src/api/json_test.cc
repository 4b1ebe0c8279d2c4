// Bodies and query strings, read strictly.
#include "api/json.h"

#include <gtest/gtest.h>

namespace evp::api {
namespace {

result<std::map<std::string, std::string>> query(std::string text) {
  http::server_request r;
  r.query = std::move(text);
  return read_query(r, {"device", "limit"});
}

TEST(query_strings, are_decoded) {
  const auto q = query("device=cam%261&&limit=");
  ASSERT_TRUE(q) << q.error().message();
  EXPECT_EQ(q->at("device"), "cam&1");
  EXPECT_EQ(q->at("limit"), "");
  EXPECT_TRUE(query("")->empty());
}

TEST(query_strings, that_are_not_understood_are_refused_by_name) {
  EXPECT_EQ(query("colour=red").error().field(), "colour");
  EXPECT_EQ(query("limit=1&limit=2").error().field(), "limit");
  EXPECT_EQ(query("limit=%zz").error().field(), "limit");
  EXPECT_EQ(query("device=%ff").error().field(), "device");
  EXPECT_FALSE(query("%ff=1"));
}

TEST(bodies, an_empty_one_is_an_empty_object) {
  http::server_request r;
  EXPECT_TRUE(read_body(r)->empty());
  r.body = "[]";
  EXPECT_EQ(read_body(r).error().code(), errc::invalid_argument);
}

TEST(embedded_text, is_json_where_it_can_be) {
  EXPECT_EQ(json::serialize(embed("{\"a\":[1]}")), "{\"a\":[1]}");
  EXPECT_EQ(json::serialize(embed("plain")), "\"plain\"");
  EXPECT_EQ(json::serialize(embed("")), "null");
}

}  // namespace
}  // namespace evp::api
