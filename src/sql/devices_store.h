// Table devices: who may connect. Tokens are kept as SHA-256 only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct device_row {
  std::string id;
  std::string token_sha256;  ///< 64 lower-case hexadecimal digits
  bool blocked = false;
  std::int64_t created_at = 0;  ///< Unix time, ms
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<device_row>> list_devices(connection& c);
/// Errors: already_exists.
result<void> insert_device(connection& c, const device_row& d);
/// Errors: not_found.
result<void> set_device_blocked(connection& c, const std::string& id, bool blocked);
/// Removes the device with its deployment, configuration and states; its ledger rows stay. True when there was one.
result<bool> remove_device(connection& c, const std::string& id);

}  // namespace evp::sql
