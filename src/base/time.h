// Points in time and durations, and the text forms in which they travel.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace evp {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Wall-clock time, UTC, in milliseconds: what is stored, signed and shown.
using timestamp = std::chrono::sys_time<milliseconds>;
/// Time that only goes forward: what waits and deadlines are measured in.
using steady_time = std::chrono::steady_clock::time_point;

/// "2026-11-22T18:07:13.626Z" (RFC 3339). Here and below, what is not in the years 0 to 9999 is written as their
/// nearest.
std::string format_rfc3339(timestamp t);
/// "2026-11-22T18:07:13Z": Azure's form, without fractions.
std::string format_rfc3339_seconds(timestamp t);
/// "20261122T180713Z": the basic ISO 8601 form of AWS Signature Version 4.
std::string format_basic(timestamp t);
/// Whole seconds since 1970, in decimal: "1798826833".
std::string format_unix_seconds(timestamp t);
/// Reads "YYYY-MM-DDTHH:MM:SS[.fff]Z". Errors: invalid_argument.
result<timestamp> parse_rfc3339(std::string_view text);
/// Reads "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7). Errors: invalid_argument.
result<timestamp> parse_http_date(std::string_view text);

/// Reads an ISO 8601 duration of weeks, days, hours, minutes and seconds ("PT2M", "P1DT12H", "PT0.5S"); years and
/// months have no fixed length and are refused. Errors: invalid_argument (no duration, or beyond 100 years).
result<milliseconds> parse_iso8601_duration(std::string_view text);
/// The shortest ISO 8601 form: "PT2M", "P1D", "PT0.5S", "PT0S".
std::string format_iso8601_duration(milliseconds d);

}  // namespace evp
