// Table modules: the module files that users uploaded. The bytes lie in the data folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct module_row {
  std::string id;
  std::int64_t size_bytes = 0;
  std::string sha256;  ///< 64 lower-case hexadecimal digits; also the file's name
  std::int64_t created_at = 0;
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<module_row>> list_modules(connection& c);
/// Errors: already_exists.
result<void> insert_module(connection& c, const module_row& m);
/// True when there was one. Errors: failed_precondition (a deployment uses it).
result<bool> remove_module(connection& c, const std::string& id);

}  // namespace evp::sql
