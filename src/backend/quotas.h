// What devices with a quota have been granted: counted in the transaction that writes the grant, so that all backends
// on the database and all restarts count together.
#pragma once

#include "backend/grant_terms.h"
#include "backend/ledger.h"
#include "sql/ledger_store.h"

namespace evp::backend {

/// In the transaction that writes the grant's row, with the device held alone: counts it. Nothing is asked or written
/// where neither quota is stated. Database thread. Errors: rate_limited at "grantsPerMinute" or "bytesPerDay", with
/// retry_after, the end of the minute or of the day; the connection's.
result<void> take_quota(sql::connection& c, const sql::upload_row& grant, const grant_terms& terms);

/// In the transaction that moves an upload on: what was stored is counted instead of what was granted, and what expired
/// unused is given back. What failed stays counted, since the device may have sent it. Database thread.
result<void> correct_quota(sql::connection& c, const sql::upload_row& before, upload_state now,
                           const std::optional<std::int64_t>& stored_bytes);

}  // namespace evp::backend
