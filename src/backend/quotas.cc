#include "backend/quotas.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/policy.h"
#include "sql/quotas_store.h"

namespace evp::backend {
namespace {

constexpr std::int64_t minute_ms = 60'000, day_ms = 86'400'000;

/// Whether a count is of another window than now's. One that is further ahead than backends' clocks may differ was made
/// by a clock that was wrong.
bool is_over(std::int64_t counted, std::int64_t now) { return counted < now || counted > now + 1; }

tl::unexpected<error> used_up(std::string_view field, std::string message, std::int64_t ends_in) {
  return fail(
      std::move(error(errc::rate_limited, std::move(message)).after(milliseconds(ends_in))).at(std::string(field)));
}

std::int64_t counted(std::string_view state, std::int64_t granted, const std::optional<std::int64_t>& stored) {
  if (state == to_string(upload_state::verified)) return stored.value_or(granted);
  if (state == to_string(upload_state::failed)) return std::max(granted, stored.value_or(0));
  if (state == to_string(upload_state::expired)) return 0;
  return granted;
}

}  // namespace

result<void> take_quota(sql::connection& c, const sql::upload_row& grant, const grant_terms& terms) {
  if (!terms.grants_per_minute && !terms.bytes_per_day) return {};
  const auto minute = grant.issued_at / minute_ms, day = grant.issued_at / day_ms;
  TRY(auto n, sql::find_grant_count(c, grant.device));
  if (is_over(n.minute, minute)) {
    n.minute = minute;
    n.grants = 0;
  }
  if (is_over(n.day, day)) {
    n.day = day;
    n.bytes = 0;
  }
  if (terms.grants_per_minute && std::uint64_t(n.grants) >= *terms.grants_per_minute)
    return used_up(policy_field::grants_per_minute,
                   fmt::format("this device has had its {} grants of this minute", *terms.grants_per_minute),
                   (n.minute + 1) * minute_ms - grant.issued_at);
  const auto wanted = std::uint64_t(n.bytes) + std::uint64_t(grant.quota_bytes);
  if (terms.bytes_per_day && grant.quota_bytes > 0 && wanted > *terms.bytes_per_day)
    return used_up(policy_field::bytes_per_day,
                   fmt::format("this device may send {} bytes in a day of UTC: with this file it would be {}",
                               *terms.bytes_per_day, wanted),
                   (n.day + 1) * day_ms - grant.issued_at);
  ++n.grants;
  n.bytes += grant.quota_bytes;
  return sql::put_grant_count(c, grant.device, n);
}

result<void> correct_quota(sql::connection& c, const sql::upload_row& before, upload_state now,
                           const std::optional<std::int64_t>& stored_bytes) {
  if (before.quota_bytes == 0) return {};
  const auto change = counted(to_string(now), before.quota_bytes, stored_bytes) -
                      counted(before.state, before.quota_bytes, before.size_bytes);
  if (change == 0) return {};
  return sql::add_counted_bytes(c, before.device, before.issued_at / day_ms, change);
}

}  // namespace evp::backend
