// Hostile and odd JSON: every refusal names its reason.
#include "wire/json.h"

#include <gtest/gtest.h>

namespace evp::wire {
namespace {

error refusal(std::string_view text) {
  auto r = parse_json(text, 1024);
  if (r) return error(errc::internal, "accepted");
  return std::move(r).error();
}

TEST(json, a_value_of_every_kind_survives_a_round_trip) {
  constexpr std::string_view text =
      R"({"a":[1,-2,1.5E0,true,false,null,"x\u0001é"],"b":{"c":{}},"d":18446744073709551615})";
  auto v = parse_json(text, 1024);
  ASSERT_TRUE(v) << v.error().message();
  EXPECT_EQ(json::serialize(*v), text);
}

TEST(json, thirty_two_levels_are_read_and_thirty_three_refused) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(parse_json(nested(32), 1024));
  EXPECT_EQ(refusal(nested(33)).code(), errc::invalid_argument);
  EXPECT_EQ(refusal(std::string(1000, '[')).code(), errc::invalid_argument);
}

TEST(json, a_key_that_occurs_twice_is_refused_by_name_at_any_depth) {
  EXPECT_EQ(refusal(R"({"a":1,"a":2})").field(), "a");
  EXPECT_EQ(refusal(R"({"x":[{"b":1,"c":2,"b":3}]})").field(), "b");
  EXPECT_EQ(refusal(R"({"a":1,"\u0061":2})").field(), "a");
  EXPECT_TRUE(parse_json(R"({"a":{"a":1},"b":{"a":2}})", 1024));
}

TEST(json, long_keys_are_compared_as_a_whole) {
  const std::string key(3000, 'k');
  EXPECT_TRUE(parse_json("{\"" + key + "1\":1,\"" + key + "2\":2}", 10000));
  auto r = parse_json("{\"" + key + "\":1,\"" + key + "\":2}", 10000);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().field(), std::string(64, 'k'));
}

TEST(json, what_is_no_utf8_is_refused) {
  EXPECT_EQ(refusal("{\"a\":\"\xff\"}").code(), errc::invalid_argument);
  EXPECT_EQ(refusal("{\"a\":\"\xc0\xaf\"}").code(), errc::invalid_argument);
  EXPECT_EQ(refusal("{\"\xed\xa0\x80\":1}").code(), errc::invalid_argument);
  EXPECT_EQ(refusal(R"({"a":"\ud800"})").code(), errc::invalid_argument);
}

TEST(json, broken_texts_are_refused) {
  for (const auto text :
       {"", " ", "{", "{\"a\"}", "[1,]", "nul", "01", "1 2", "{}x", "'a'", "// c\n1", "NaN", "1e99999", "-1e400"})
    EXPECT_EQ(refusal(text).code(), errc::invalid_argument) << text;
}

TEST(json, a_text_beyond_the_bound_is_too_large) { EXPECT_EQ(refusal(std::string(1025, ' ')).code(), errc::too_large); }

TEST(json_reader_test, names_the_path_of_what_is_missing_or_wrong) {
  auto o = parse_json_object(R"({"a":{"n":1.5,"t":5,"d":"12x","null":null}})", 1024);
  ASSERT_TRUE(o);
  auto a = json_reader(*o).object("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->text("t").error().field(), "a.t");
  EXPECT_EQ(a->text("gone").error().message(), "a.gone is missing: give a string");
  EXPECT_EQ(a->optional_integer("n").error().field(), "a.n");
  EXPECT_EQ(a->optional_decimal("d").error().field(), "a.d");
  EXPECT_EQ(*a->optional_text("null"), std::nullopt);
  EXPECT_EQ(json_reader(*o).object("b").error().field(), "b");
}

TEST(json_reader_test, an_unknown_field_is_named) {
  auto o = parse_json_object(R"({"name":"x","nmae":"y"})", 1024);
  const auto r = json_reader(*o).only({"name", "type"});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().field(), "nmae");
  EXPECT_EQ(r.error().message(), "unknown field nmae: use name, type");
}

TEST(decimal_test, only_digits_below_two_to_the_64_are_numbers) {
  EXPECT_EQ(*parse_decimal("18446744073709551615"), UINT64_MAX);
  for (const auto text : {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "18446744073709551616"})
    EXPECT_FALSE(parse_decimal(text)) << text;
}

}  // namespace
}  // namespace evp::wire
