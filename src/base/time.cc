#include "base/time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace evp {
namespace {

using namespace std::chrono;

/// The form with its letters replaced by the digits of t: year Y, month M, day D, hour h, minute m, second s and
/// millisecond l. Every signature has a time in it, and fmt takes longer for one than the hash does.
std::string write(timestamp t, std::string form) {
  constexpr timestamp first = sys_days(year(0) / January / 1), end = sys_days(year(10'000) / January / 1);
  t = std::clamp(t, first, end - milliseconds(1));
  const auto day = floor<days>(t);
  const year_month_day date(day);
  auto of_day = unsigned((t - day).count());
  const auto take = [&of_day](unsigned count) { return std::exchange(of_day, of_day / count) % count; };
  unsigned y = unsigned(int(date.year())), mo = unsigned(date.month()), d = unsigned(date.day());
  unsigned l = take(1000), s = take(60), m = take(60), h = of_day;
  for (auto i = form.size(); i-- > 0;) {
    unsigned* number = nullptr;
    switch (form[i]) {
      case 'Y': number = &y; break;
      case 'M': number = &mo; break;
      case 'D': number = &d; break;
      case 'h': number = &h; break;
      case 'm': number = &m; break;
      case 's': number = &s; break;
      case 'l': number = &l; break;
      default: continue;
    }
    form[i] = char('0' + *number % 10);
    *number /= 10;
  }
  return form;
}

bool read_digits(std::string_view text, std::size_t at, std::size_t count, int& out) {
  if (at + count > text.size()) return false;
  const auto* first = text.data() + at;
  for (std::size_t i = 0; i < count; ++i)
    if (first[i] < '0' || first[i] > '9') return false;
  return std::from_chars(first, first + count, out).ec == std::errc();
}

result<timestamp> make_time(int y, unsigned mo, unsigned d, int h, int mi, int s, int ms) {
  const year_month_day date{year(y), month(mo), day(d)};
  if (!date.ok() || h > 23 || mi > 59 || s > 60) return fail(errc::invalid_argument, "no such date or time of day");
  return timestamp(sys_days(date)) + hours(h) + minutes(mi) + seconds(s) + milliseconds(ms);
}

}  // namespace

std::string format_rfc3339(timestamp t) { return write(t, "YYYY-MM-DDThh:mm:ss.lllZ"); }
std::string format_rfc3339_seconds(timestamp t) { return write(t, "YYYY-MM-DDThh:mm:ssZ"); }
std::string format_basic(timestamp t) { return write(t, "YYYYMMDDThhmmssZ"); }
std::string format_unix_seconds(timestamp t) { return std::to_string(floor<seconds>(t).time_since_epoch().count()); }

result<timestamp> parse_rfc3339(std::string_view text) {
  int y, mo, d, h, mi, s, ms = 0;
  const auto bad = [] { return fail(errc::invalid_argument, "not a time: write it as 2026-11-22T18:07:13Z"); };
  if (text.size() < 20 || text.back() != 'Z' || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      text[13] != ':' || text[16] != ':' || !read_digits(text, 0, 4, y) || !read_digits(text, 5, 2, mo) ||
      !read_digits(text, 8, 2, d) || !read_digits(text, 11, 2, h) || !read_digits(text, 14, 2, mi) ||
      !read_digits(text, 17, 2, s))
    return bad();
  if (text.size() > 20) {
    const auto fraction = text.substr(19, text.size() - 20);
    if (fraction.size() < 2 || fraction.size() > 10 || fraction[0] != '.') return bad();
    int scale = 100;
    for (const char c : fraction.substr(1)) {
      if (c < '0' || c > '9') return bad();
      ms += (c - '0') * scale;
      scale /= 10;
    }
  }
  return make_time(y, unsigned(mo), unsigned(d), h, mi, s, ms);
}

result<timestamp> parse_http_date(std::string_view text) {
  static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  int d, y, h, mi, s;
  if (text.size() == 29 && text.ends_with(" GMT") && read_digits(text, 5, 2, d) && read_digits(text, 12, 4, y) &&
      read_digits(text, 17, 2, h) && read_digits(text, 20, 2, mi) && read_digits(text, 23, 2, s))
    for (unsigned m = 0; m < months.size(); ++m)
      if (text.substr(8, 3) == months[m]) return make_time(y, m + 1, unsigned(d), h, mi, s, 0);
  return fail(errc::invalid_argument, "not an HTTP date");
}

result<milliseconds> parse_iso8601_duration(std::string_view text) {
  const auto bad = [] {
    return fail(errc::invalid_argument, "not an ISO 8601 duration: write two minutes as PT2M, one day as P1D");
  };
  constexpr std::int64_t limit_ms = milliseconds(years(100)).count();
  struct unit {
    char letter;
    bool in_time;
    std::int64_t ms;
  };
  static constexpr std::array<unit, 5> units{unit{'W', false, 604'800'000}, unit{'D', false, 86'400'000},
                                             unit{'H', true, 3'600'000}, unit{'M', true, 60'000},
                                             unit{'S', true, 1'000}};
  if (text.size() < 3 || text[0] != 'P') return bad();
  std::size_t at = 1, next_unit = 0;
  bool in_time = false, any = false;
  std::int64_t total = 0;
  while (at < text.size()) {
    if (text[at] == 'T') {
      if (in_time || at + 1 == text.size()) return bad();
      in_time = true;
      ++at;
      continue;
    }
    std::int64_t whole = 0;
    const auto [end, ec] = std::from_chars(text.data() + at, text.data() + text.size(), whole);
    if (ec != std::errc() || whole < 0 || text[at] == '-' || whole > limit_ms) return bad();
    at = std::size_t(end - text.data());
    std::int64_t thousandths = 0;
    bool fraction = false;
    if (at < text.size() && (text[at] == '.' || text[at] == ',')) {
      fraction = true;
      std::int64_t scale = 100;
      const auto first = ++at;
      for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
        thousandths += (text[at] - '0') * scale;
      if (at == first) return bad();
    }
    if (at == text.size()) return bad();
    while (next_unit < units.size() && (units[next_unit].letter != text[at] || units[next_unit].in_time != in_time))
      ++next_unit;
    if (next_unit == units.size()) return bad();
    const auto& u = units[next_unit++];
    if (fraction && u.letter != 'S') return bad();
    if (whole > limit_ms / u.ms) return bad();
    total += whole * u.ms + thousandths;
    if (total > limit_ms) return bad();
    any = true;
    ++at;
  }
  if (!any) return bad();
  return milliseconds(total);
}

std::string format_iso8601_duration(milliseconds d) {
  auto ms = d.count();
  if (ms <= 0) return "PT0S";
  std::string out = "P";
  const auto take = [&](std::int64_t size) {
    const auto n = ms / size;
    ms %= size;
    return n;
  };
  if (const auto n = take(86'400'000)) out += fmt::format("{}D", n);
  if (ms) out += 'T';
  if (const auto n = take(3'600'000)) out += fmt::format("{}H", n);
  if (const auto n = take(60'000)) out += fmt::format("{}M", n);
  if (ms % 1000) {
    auto text = fmt::format("{}.{:03}", ms / 1000, ms % 1000);
    while (text.back() == '0') text.pop_back();
    out += text + "S";
  } else if (ms) {
    out += fmt::format("{}S", ms / 1000);
  }
  return out;
}

}  // namespace evp
