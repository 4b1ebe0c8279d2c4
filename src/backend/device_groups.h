// Groups of devices: a device is in one at most, and a policy may be stated for all of them.
#pragma once

#include <string>
#include <vector>

#include "backend/audit.h"
#include "io/clock.h"
#include "sql/policies_store.h"

namespace evp::backend {

struct group_view {
  std::string name;  ///< scoped (base/names.h)
  std::string description;
  timestamp created_at;
  std::uint64_t devices = 0;  ///< how many are in it
};
struct saved_group {
  group_view group;
  bool is_new = false;
};

/// In the database only. Confined to its executor; each change is recorded in the audit, in its transaction.
class device_groups {
 public:
  static constexpr std::int64_t max_groups = 10'000;  ///< of all tenants
  static constexpr std::size_t max_description_bytes = 256;

  device_groups(sql::database& db, const io::clock& clock) : db_(db), clock_(clock) {}

  /// Names are scoped ones. Makes it, or gives it another description. Errors: invalid_argument at "name" or
  /// "description", too_large (max_groups), the database's.
  io::task<result<saved_group>> put(std::string name, std::string description, origin by = origin());
  /// Errors: not_found, the database's.
  io::task<result<group_view>> get(std::string name);
  /// The tenant's, by name. Errors: the database's.
  io::task<result<std::vector<group_view>>> list(std::string tenant);
  /// Removes it with its policy. Errors: not_found, failed_precondition (it has devices, or an enrolment token names
  /// it), the database's.
  io::task<result<void>> remove(std::string name, origin by = origin());

 private:
  sql::database& db_;
  const io::clock& clock_;
};

}  // namespace evp::backend
