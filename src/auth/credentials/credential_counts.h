// What the caches of this process did with credentials: counted for metrics, over all services.
#pragma once

#include <cstdint>

namespace evp::auth {

struct credential_counts {
  std::uint64_t hits = 0;       ///< given from memory
  std::uint64_t refreshes = 0;  ///< fetched
  std::uint64_t failures = 0;   ///< fetches that failed
};

/// Any thread.
credential_counts credential_counters() noexcept;
void count_credential_hit() noexcept;
void count_credential_fetch(bool succeeded) noexcept;

}  // namespace evp::auth
