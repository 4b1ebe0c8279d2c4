// Refusals over quota, remembered for a moment: a device that asks on in spite of them costs no signature, no upload
// that is begun at the storage, and no transaction.
#pragma once

#include <string>
#include <unordered_map>

#include "backend/grant_terms.h"
#include "backend/policy.h"
#include "base/time.h"

namespace evp::backend {

/// Confined to its executor.
class quota_refusals {
 public:
  static constexpr milliseconds remembered_for{10'000};  ///< meanwhile bytes may have been given back
  static constexpr std::size_t max_remembered = 100'000;

  /// Before a grant is made. Errors: rate_limited, that of before, where the policies are the same and it asks for no
  /// less.
  result<void> check(const std::string& device, const grant_terms& terms, std::uint64_t quota_bytes,
                     steady_time now) const {
    const auto found = all_.find(device);
    if (found == all_.end()) return {};
    const auto& r = found->second;
    const auto passed = std::chrono::duration_cast<milliseconds>(now - r.at);
    const bool is_same = r.policy_epoch == terms.policy_epoch && quota_bytes >= r.quota_bytes;
    const auto left = r.why.retry_after().value_or(milliseconds(0)) - passed;
    if (!is_same || passed >= remembered_for || left <= milliseconds(0)) return {};
    error again = r.why;
    return fail(std::move(again).after(left));
  }

  /// What the transaction of a grant has said. Others than over quota are not remembered.
  void note(const std::string& device, const grant_terms& terms, std::uint64_t quota_bytes, const error& e,
            steady_time now) {
    const bool for_bytes = e.field() == policy_field::bytes_per_day;
    if (!for_bytes && e.field() != policy_field::grants_per_minute) return;
    if (all_.size() >= max_remembered)
      std::erase_if(all_, [now](const auto& r) { return now - r.second.at >= remembered_for; });
    if (all_.size() >= max_remembered) return;
    all_.insert_or_assign(device, refusal{e, terms.policy_epoch, for_bytes ? quota_bytes : 0, now});
  }

 private:
  struct refusal {
    error why;
    std::int64_t policy_epoch;
    std::uint64_t quota_bytes;  ///< with so many or more
    steady_time at;
  };
  std::unordered_map<std::string, refusal> all_;
};

}  // namespace evp::backend
