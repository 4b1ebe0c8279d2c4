// What every query that counts grants that are good still tells of them.
#pragma once

#include "sql/ledger_store.h"
#include "sql/nullable.h"

namespace evp::sql {

inline constexpr std::string_view live_grants_columns =
    "count(*) AS n, count(CASE WHEN offline = 1 THEN 1 END) AS kept, max(expires_at) AS last";
/// Of a row with these columns.
inline live_grants_row read_live_grants(const row& r) {
  return {r.integer("n"), r.integer("kept"), optional_number(r, "last").value_or(0)};
}

}  // namespace evp::sql
