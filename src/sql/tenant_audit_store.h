// The records of the audit that are one tenant's.
#pragma once

#include "sql/audit_store.h"

namespace evp::sql {

/// Records of what was done to the tenant's things, or tried by its keys, people and devices; and of the tenant itself.
/// An actor of the filter may be named as the tenant knows it ("device cam-1"), and so may the object. `tenant`: empty
/// for the installation's own; then nothing that is the installation's as a whole: logins, tenants, the master key, the
/// audit. Database thread; errors: the connection's.
result<std::vector<audit_row>> list_tenant_audit(connection& c, std::string_view tenant, const audit_query& q);

}  // namespace evp::sql
