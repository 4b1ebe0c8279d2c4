// Tables changes and change_sequence: what programs on the database keep in memory, and one of them has changed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct change_row {
  std::int64_t number = 0;  ///< 1, 2, 3, ... in the order of the commits
  /// "device", "access" (tenants and keys), "service", "hook", "module", "policy", "provider change", "block",
  /// "roll-call", "roll-answer" or "revocation"
  std::string topic;
  std::string name;  ///< of the one that was made, changed or removed; of a policy the tenant
};

/// In the transaction of the change: numbers it at the end of that, and announces it to the other programs. Only the
/// last max_changes are kept. Database thread.
void note_change(connection& c, std::string topic, std::string name);
inline constexpr std::int64_t max_changes = 10'000;

/// All functions: database thread; errors: the connection's.
/// The number of the last change; 0: there was none.
result<std::int64_t> find_newest_change(connection& c);
struct change_list {
  std::vector<change_row> changes;  ///< oldest first
  bool has_gap = false;             ///< some are kept no more, or the database is another: everything may have changed
};
/// The changes after that number, as many as are kept.
result<change_list> list_changes(connection& c, std::int64_t after);

}  // namespace evp::sql
