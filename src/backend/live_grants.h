// How the database's counts of live grants add up.
#pragma once

#include <algorithm>

#include "backend/ledger.h"
#include "backend/unix_ms.h"
#include "sql/ledger_store.h"

namespace evp::backend {

inline void add_to(live_grants& sum, const sql::live_grants_row& r) {
  sum.count += std::uint64_t(r.count);
  sum.offline += std::uint64_t(r.offline);
  const auto last = from_ms(r.last_expires_at);
  if (r.count > 0) sum.last_expires_at = std::max(sum.last_expires_at.value_or(last), last);
}

}  // namespace evp::backend
