// What a grant was decided by: it counts if the transaction that writes its row finds the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace evp::backend {

struct grant_terms {
  std::int64_t policy_epoch = 0;                                  ///< of the tenant's policies (sql/policies_store.h)
  std::string group;                                              ///< of the device; empty: none
  std::optional<std::uint64_t> grants_per_minute, bytes_per_day;  ///< what it may be granted; nothing: not counted
  std::size_t max_offline = SIZE_MAX;                             ///< offline grants that live and are not used
};

}  // namespace evp::backend
