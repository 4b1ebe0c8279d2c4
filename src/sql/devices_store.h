// Table devices: who may connect. Tokens are kept as SHA-256 only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct device_row {
  std::string id;
  std::string token_sha256;  ///< 64 lower-case hexadecimal digits
  bool blocked = false;
  std::int64_t created_at = 0;  ///< Unix time, ms
  std::string group;            ///< empty: none
};

/// What a grant asks of its device.
struct held_device {
  bool blocked = false;
  std::string group;
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<device_row>> list_devices(connection& c);
/// By id, at most `limit` of those after that one.
result<std::vector<device_row>> list_devices_after(connection& c, const std::string& id, std::int64_t limit);
result<std::optional<device_row>> find_device(connection& c, const std::string& id);
/// Nothing: there is none. Nobody can change it before this transaction has ended; with `alone` no other transaction
/// can ask this way either meanwhile.
result<std::optional<held_device>> hold_device(connection& c, const std::string& id, bool alone);
/// Errors: already_exists, failed_precondition (there is no such group).
result<void> insert_device(connection& c, const device_row& d);
/// Errors: not_found.
result<void> set_device_blocked(connection& c, const std::string& id, bool blocked);
/// Errors: not_found, failed_precondition (there is no such group).
result<void> set_device_group(connection& c, const std::string& id, const std::string& group);
/// Removes the device with its deployment, configuration and states; its ledger rows stay. True when there was one.
result<bool> remove_device(connection& c, const std::string& id);

}  // namespace evp::sql
