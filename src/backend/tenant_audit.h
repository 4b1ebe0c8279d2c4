// A tenant's own view of the audit: its records and no others (docs/audit.md).
#pragma once

#include "backend/audit.h"

namespace evp::backend {

/// `tenant` as in sql::list_tenant_audit, here and below; paging, bounds and errors as in audit::list.
io::task<result<page<sql::audit_row>>> list_tenant_audit(sql::database& db, std::string tenant, audit_filter f,
                                                         page_request r);

/// Whether an actor is one of the tenant's: its keys, people and devices. Not who acts in all tenants.
bool acts_for(std::string_view tenant, std::string_view actor);

struct audit_piece {
  std::vector<sql::audit_row> records;
  std::int64_t looked_at = 0;  ///< up to this number: the next piece comes after it
};
/// The tenant's records in the next audit::max_looked_at after that number, oldest first, at most audit::max_piece.
/// Errors: the database's.
io::task<result<audit_piece>> read_tenant_audit(sql::database& db, std::string tenant, std::int64_t after);

}  // namespace evp::backend
