// Table keys: the backend's own generated keys, sealed by the caller before they get here.
#pragma once

#include <optional>
#include <string>

#include "sql/database.h"

namespace evp::sql {

/// The sealed key of that name. Database thread. Errors: the connection's.
result<std::optional<std::string>> find_key(connection& c, const std::string& name);
/// Stores the key unless there is one of that name already; gives the one that is stored then.
result<std::string> insert_key_if_missing(connection& c, const std::string& name, const std::string& sealed);

}  // namespace evp::sql
