#include "json_field.h"

#include <gmock/gmock.h>

#include <string>

namespace {

char text[16];
double number = 0;

json_kind field(const std::string& json, const char* key) {
  return json_field(json.data(), json.size(), key, text, sizeof text, &number);
}

TEST(json_field, finds_scalars_beside_nested_values) {
  const std::string json = R"( {"a":{"b":[1,{"c":"x"}],"n":7},"n" : 5.5,"s":"a\"\u0041\/","z":null,"t":true} )";
  EXPECT_EQ(field(json, "n"), JSON_NUMBER);
  EXPECT_EQ(number, 5.5);
  EXPECT_EQ(field(json, "s"), JSON_STRING);
  EXPECT_STREQ(text, "a\"A/");
  EXPECT_EQ(field(json, "z"), JSON_NULL);
  EXPECT_EQ(field(json, "t"), JSON_BOOL);
  EXPECT_EQ(field(json, "b"), JSON_ABSENT);
  EXPECT_EQ(field(json, "a"), JSON_BAD);
}

TEST(json_field, refuses_what_is_no_json_object_and_what_does_not_fit) {
  for (const char* bad : {"", "[]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1}x", "{\"a\":\"", "{\"a\":\"\\",
                          "{\"a\":tru}", "{\"a\":\"0123456789abcdef\"}", "{\"a\":\"\\u00e9\"}", "{\"a\":--1}"})
    EXPECT_EQ(field(bad, "a"), JSON_BAD) << bad;
  EXPECT_EQ(field("{\"b\":" + std::string(1000, '[') + std::string(1000, ']') + "}", "a"), JSON_BAD);
  EXPECT_EQ(field("{}", "a"), JSON_ABSENT);
}

TEST(json_field, gives_true_and_false_as_numbers) {
  EXPECT_EQ(field("{\"a\":true}", "a"), JSON_BOOL);
  EXPECT_EQ(number, 1);
  EXPECT_EQ(field("{\"a\":false}", "a"), JSON_BOOL);
  EXPECT_EQ(number, 0);
}

}  // namespace
