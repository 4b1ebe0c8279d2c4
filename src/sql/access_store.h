// Tables tenants and api_keys: who shares the installation, and who may use its REST API.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct tenant_row {
  std::string id;
  std::int64_t created_at = 0;  ///< Unix time, ms
};

struct api_key_row {
  std::string id;
  std::string tenant;  ///< empty: the installation's own; "*": all
  std::string name, role;
  std::string key_sha256;                       ///< 64 lower-case hexadecimal digits
  std::int64_t created_at = 0, expires_at = 0;  ///< Unix time, ms; 0: never
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<tenant_row>> list_tenants(connection& c);
/// Errors: already_exists.
result<void> insert_tenant(connection& c, const tenant_row& t);
/// What still belongs to the tenant, as "3 devices"; empty: nothing.
result<std::vector<std::string>> list_belongings(connection& c, const std::string& tenant);
/// True when there was one.
result<bool> remove_tenant(connection& c, const std::string& id);

result<std::vector<api_key_row>> list_api_keys(connection& c);
result<void> insert_api_key(connection& c, const api_key_row& k);
/// True when there was one.
result<bool> remove_api_key(connection& c, const std::string& id);

}  // namespace evp::sql
