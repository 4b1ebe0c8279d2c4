#include "apps/log_format.h"

#include <gmock/gmock.h>
#include <spdlog/details/log_msg.h>

#include "base/time.h"

namespace evp::apps {
namespace {

std::string line(log_format f, std::string_view message) {
  const auto at = parse_rfc3339("2026-11-23T12:00:00.125Z").value();
  const spdlog::details::log_msg m(at, spdlog::source_loc{}, "", spdlog::level::warn,
                                   spdlog::string_view_t(message.data(), message.size()));
  spdlog::memory_buf_t out;
  make_log_formatter(f, "evp-backend")->clone()->format(m, out);
  return {out.data(), out.size()};
}

TEST(log_format_test, text_is_for_people) {
  EXPECT_EQ(line(log_format::text, "device cam-1: hello"), "2026-11-23T12:00:00.125Z warning device cam-1: hello\n");
}

TEST(log_format_test, json_is_one_object_a_line) {
  EXPECT_EQ(line(log_format::json, "device cam-1: hello"),
            "{\"time\":\"2026-11-23T12:00:00.125Z\",\"level\":\"warning\",\"program\":\"evp-backend\","
            "\"message\":\"device cam-1: hello\"}\n");
}

TEST(log_format_test, a_message_cannot_leave_its_string_or_its_line) {
  EXPECT_THAT(line(log_format::json, "a\"b\\c\nd\te\x7f"),
              testing::HasSubstr(R"("message":"a\"b\\c\nd\u0009e\u007f"})"));
  EXPECT_THAT(line(log_format::json, "\xc3\xa9"), testing::HasSubstr("\"\xc3\xa9\""));
  EXPECT_THAT(line(log_format::json, "x\xff"), testing::HasSubstr("\"x%FF\""));
}

}  // namespace
}  // namespace evp::apps
