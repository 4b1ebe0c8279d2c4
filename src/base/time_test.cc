#include "base/time.h"

#include <gmock/gmock.h>

namespace evp {
namespace {

using namespace std::chrono_literals;

const timestamp example = timestamp(milliseconds(1714979289626));  // 2024-05-06T07:08:09.626Z

TEST(unix_seconds, are_whole_and_rounded_down) {
  EXPECT_EQ(format_unix_seconds(*parse_rfc3339("2026-11-22T18:07:13.999Z")), "1795370833");
}

TEST(rfc3339, writes_the_forms_that_vendors_want) {
  EXPECT_EQ(format_rfc3339(example), "2024-05-06T07:08:09.626Z");
  EXPECT_EQ(format_rfc3339_seconds(example), "2024-05-06T07:08:09Z");
  EXPECT_EQ(format_basic(example), "20240506T070809Z");
}

TEST(rfc3339, writes_four_digits_of_a_year_whatever_the_time) {
  EXPECT_EQ(format_rfc3339(timestamp::max()), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(format_rfc3339(timestamp::min()), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(format_rfc3339(timestamp(-1ms)), "1969-12-31T23:59:59.999Z");
}

TEST(rfc3339, reads_what_it_writes_and_refuses_the_rest) {
  EXPECT_EQ(parse_rfc3339("2024-05-06T07:08:09.626Z").value(), example);
  EXPECT_EQ(parse_rfc3339("2024-05-06T07:08:09Z").value(), example - 626ms);
  for (const auto* bad : {"", "2024-05-06", "2024-02-30T00:00:00Z", "2024-05-06T25:00:00Z", "2024-05-06T07:08:09",
                          "2024-05-06T07:08:09.Z"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
}

TEST(http_date, reads_the_preferred_form) {
  EXPECT_EQ(parse_http_date("Mon, 06 May 2024 07:08:09 GMT").value(), example - 626ms);
  EXPECT_FALSE(parse_http_date("Monday, 06-May-24 07:08:09 GMT"));
}

TEST(iso8601_duration, reads_fixed_length_units) {
  EXPECT_EQ(parse_iso8601_duration("PT2M").value(), 2min);
  EXPECT_EQ(parse_iso8601_duration("P1DT12H").value(), 36h);
  EXPECT_EQ(parse_iso8601_duration("P2W").value(), 14 * 24h);
  EXPECT_EQ(parse_iso8601_duration("PT0.5S").value(), 500ms);
  EXPECT_EQ(parse_iso8601_duration("PT0S").value(), 0ms);
}

TEST(iso8601_duration, refuses_what_is_none_or_has_no_fixed_length) {
  for (const auto* bad : {"", "P", "PT", "2M", "P1Y", "P1M", "PT1D", "P1H", "PT-2M", "-PT2M", "PT2", "PT2MT3S",
                          "PT3S2M", "PT1.5M", "P1DT", "PT2M ", "PT99999999999999999999S", "P999999D", "pt2m"})
    EXPECT_FALSE(parse_iso8601_duration(bad)) << bad;
}

TEST(iso8601_duration, writes_the_shortest_form) {
  EXPECT_EQ(format_iso8601_duration(2min), "PT2M");
  EXPECT_EQ(format_iso8601_duration(36h + 500ms), "P1DT12H0.5S");
  EXPECT_EQ(format_iso8601_duration(0ms), "PT0S");
}

}  // namespace
}  // namespace evp
