// Tables blocks and block_count: storages, modules and module instances that are granted nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/ledger_store.h"

namespace evp::sql {

struct block_row {
  std::string kind;     ///< "service", "module" or "instance"
  std::string name;     ///< scoped (base/names.h)
  std::string device;   ///< scoped; empty: of all devices
  std::int64_t at = 0;  ///< Unix time, ms
  std::string actor;    ///< as in the audit
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<block_row>> list_blocks(connection& c);
/// Waits for all grants that are being written, and those that begin meanwhile wait for the end of this transaction.
/// False: there was this block already. Errors: too_large (`most` of them).
result<bool> insert_block(connection& c, const block_row& b, std::int64_t most);
/// True when there was one.
result<bool> remove_block(connection& c, const block_row& b);

/// The blocks, without those of modules, that a grant with this row would be against. After may_sign()
/// (provider_changes_store.h).
result<std::vector<block_row>> find_blocks(connection& c, const upload_row& u);
/// The blocked modules that the deployment of the device uses.
result<std::vector<std::string>> find_blocked_modules(connection& c, const std::string& device);

/// What lives of the grants of one device's module instance.
struct instance_grants_row {
  std::string device, instance;
  live_grants_row grants;
};
/// Grants that are good after that time, of what would be blocked; for a module of all instances of the devices whose
/// deployment uses it. By device.
result<std::vector<instance_grants_row>> list_live_grants(connection& c, const block_row& of, std::int64_t now_ms);

}  // namespace evp::sql
