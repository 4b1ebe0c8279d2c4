// The retry policy of transfers, all of it: what is tried again, with a fresh grant or not, and after what wait.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace evp::runtime::upload {

struct retry_policy {
  milliseconds backoff_first{500};
  milliseconds backoff_max{120'000};
  milliseconds retry_after_max{3'600'000};  ///< a peer that asks for more is asked again after this
  unsigned tries_per_grant = 3;             ///< then a fresh one: the operator may have corrected the service meanwhile
  unsigned grants_after_403 = 3;            ///< a storage that refuses this many fresh grants means it
};

/// How one exchange with a storage ended: an HTTP status, or a failure.
struct transfer_result {
  std::optional<error> failure;
  int failure_errno = 0;  ///< where a local call failed: its errno; 0: derived from the failure
  int status = 0;
  std::optional<milliseconds> retry_after;
  std::uint64_t bytes = 0;
  std::string sha256;
};

enum class verdict { success, retry, fresh_grant, final };

/// Judges an exchange. `expect` lists the statuses that mean success; empty: any 2xx. A redirect is final: no grant
/// lists one, and a body must not follow it (RFC 9110, 15.4).
verdict judge(const transfer_result& r, const std::vector<int>& expect);

/// Full jitter: uniform between 0 and the exponentially growing, capped bound; never below what the peer asked for.
/// `failures` counts what went wrong so far, from 1.
milliseconds wait_before_retry(const retry_policy& p, unsigned failures, std::optional<milliseconds> retry_after,
                               std::mt19937_64& random);

/// Reads a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3). Nothing for anything else.
std::optional<milliseconds> parse_retry_after(std::string_view value, timestamp now);

/// The errno value that a module sees for a final failure (evp-wire.md C1, C3: 1 EPERM for TLS, 110 ETIMEDOUT ...).
int errno_of(const transfer_result& r) noexcept;

}  // namespace evp::runtime::upload
