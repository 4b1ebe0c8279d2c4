// Windows of the day: read, and asked.
#include "runtime/upload/schedule.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace evp::runtime::upload {

namespace {
using std::chrono::minutes;
constexpr minutes day{24 * 60};

/// "HH:MM"
std::optional<minutes> read_time(std::string_view text) {
  const auto number = [](std::string_view two) {
    int n = -1;
    const auto [end, problem] = std::from_chars(two.data(), two.data() + two.size(), n);
    return two.size() == 2 && problem == std::errc() && end == two.data() + two.size() ? n : -1;
  };
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const int hours = number(text.substr(0, 2)), rest = number(text.substr(3));
  if (hours < 0 || hours > 23 || rest < 0 || rest > 59) return std::nullopt;
  return minutes(hours * 60 + rest);
}

milliseconds time_of_day(timestamp t) { return t - std::chrono::floor<std::chrono::days>(t); }

bool holds(const schedule::window& w, milliseconds at) {
  return w.from < w.to ? at >= w.from && at < w.to : at >= w.from || at < w.to;
}
}  // namespace

result<schedule> schedule::parse(std::string_view text) {
  schedule out;
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    const auto one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto from = read_time(one.substr(0, std::min<std::size_t>(5, one.size())));
    const auto to = one.size() == 11 && one[5] == '-' ? read_time(one.substr(6)) : std::nullopt;
    if (!from || !to || *from == *to)
      return fail(errc::invalid_argument, "write windows of the day in UTC, as 22:00-06:00 or 01:00-02:00,13:00-14:30");
    out.windows_.push_back({*from, *to});
  }
  return out;
}

bool schedule::is_open(timestamp t) const noexcept {
  return windows_.empty() ||
         std::any_of(windows_.begin(), windows_.end(), [at = time_of_day(t)](const auto& w) { return holds(w, at); });
}

milliseconds schedule::until_open(timestamp t) const noexcept {
  if (is_open(t)) return milliseconds(0);
  milliseconds least = day;
  const auto at = time_of_day(t);
  for (const auto& w : windows_) least = std::min(least, w.from > at ? w.from - at : w.from + day - at);
  return least;
}

}  // namespace evp::runtime::upload
