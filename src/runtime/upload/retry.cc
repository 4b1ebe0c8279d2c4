// The retry policy of transfers: one judgement, one wait, one mapping to errno.
#include "runtime/upload/retry.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace evp::runtime::upload {

verdict judge(const transfer_result& r, const std::vector<int>& expect) {
  if (r.failure) return is_temporary(r.failure->code()) && r.failure_errno == 0 ? verdict::retry : verdict::final;
  const bool success = expect.empty() ? r.status >= 200 && r.status < 300
                                      : std::find(expect.begin(), expect.end(), r.status) != expect.end();
  if (success) return verdict::success;
  if (r.status == 408 || r.status == 429 || (r.status >= 500 && r.status < 600)) return verdict::retry;
  if (r.status == 401 || r.status == 403) return verdict::fresh_grant;  // what the grant carries is not taken any more
  return verdict::final;
}

milliseconds wait_before_retry(const retry_policy& p, unsigned failures, std::optional<milliseconds> retry_after,
                               std::mt19937_64& random) {
  const unsigned doublings = std::min(failures > 0 ? failures - 1 : 0, 30U);
  const milliseconds bound = std::min(p.backoff_max, p.backoff_first * (std::int64_t{1} << doublings));
  const milliseconds jittered(std::uniform_int_distribution<std::int64_t>(0, bound.count())(random));
  if (!retry_after) return jittered;
  // Jitter on top, so that devices which were sent away together don't come back together.
  const milliseconds asked = std::clamp(*retry_after, milliseconds(0), p.retry_after_max);
  return asked + std::min(jittered, p.backoff_first);
}

std::optional<milliseconds> parse_retry_after(std::string_view value, timestamp now) {
  std::uint32_t whole = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), whole);
  if (!value.empty() && problem == std::errc() && end == value.data() + value.size()) return seconds(whole);
  const auto date = parse_http_date(value);
  if (!date) return std::nullopt;
  return std::max(milliseconds(0), *date - now);
}

int errno_of(const transfer_result& r) noexcept {
  if (r.failure_errno != 0) return r.failure_errno;
  if (!r.failure) return 0;
  switch (r.failure->code()) {
    case errc::permission_denied:
    case errc::unauthenticated: return EPERM;
    case errc::invalid_argument:
    case errc::unsupported: return EINVAL;
    case errc::not_found: return ENOENT;
    case errc::deadline_exceeded: return ETIMEDOUT;
    case errc::too_large: return E2BIG;
    case errc::cancelled: return ECANCELED;
    default: return EIO;
  }
}

}  // namespace evp::runtime::upload
