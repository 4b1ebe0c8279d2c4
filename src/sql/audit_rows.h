// What the queries of the audit have in common: columns, filters, reading of a row.
#pragma once

#include "sql/audit_store.h"

namespace evp::sql {

inline constexpr std::string_view audit_columns =
    "number, at, actor, action, object_kind, object_name, peer, outcome, detail, hash";

audit_row read_audit_row(const row& r);
/// The conditions of all but the actor, and their parameters: "number > :after AND ...".
std::string audit_conditions(const audit_query& q, parameters& p);
/// The rows that fulfil them, in the query's order and number. Database thread; errors: the connection's.
result<std::vector<audit_row>> select_audit(connection& c, const audit_query& q, const std::string& conditions,
                                            parameters p);

}  // namespace evp::sql
