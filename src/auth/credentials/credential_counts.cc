#include "auth/credentials/credential_counts.h"

#include <atomic>

namespace evp::auth {
namespace {

std::atomic<std::uint64_t> hits, refreshes, failures;

}  // namespace

credential_counts credential_counters() noexcept { return {hits.load(), refreshes.load(), failures.load()}; }
void count_credential_hit() noexcept { hits.fetch_add(1, std::memory_order_relaxed); }
void count_credential_fetch(bool succeeded) noexcept {
  (succeeded ? refreshes : failures).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace evp::auth
