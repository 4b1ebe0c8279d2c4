// Tables policies, policy_epochs and device_groups: what devices may do with which storage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

/// Where a policy stands.
struct policy_place {
  std::string tenant;
  std::string scope;  ///< "tenant", "group" or "device"
  std::string name;   ///< of the group or device, scoped; empty for the tenant's own
};

/// By what a grant was decided.
struct known_policies {
  std::string tenant;      ///< of the device
  std::int64_t epoch = 0;  ///< of its policies, as the program knew them
};

/// A field without a value is not stated. Lists are lines, each with its end.
struct policy_row {
  policy_place place;
  std::optional<std::string> default_storage, storages, operations, name_template, content_types;
  std::optional<std::int64_t> max_size, grants_per_minute, bytes_per_day;
  std::int64_t updated_at = 0;  ///< Unix time, ms
};

struct tenant_policies {
  std::optional<std::int64_t> epoch;  ///< nothing: the tenant has none yet
  std::vector<policy_row> policies;   ///< at least as new as the epoch
};

struct group_row {
  std::string name;  ///< scoped
  std::string description;
  std::int64_t created_at = 0;  ///< Unix time, ms
  std::int64_t devices = 0;     ///< how many are in it
};

/// All functions: database thread; errors: the connection's, and what is named.

/// A number that is another after each change of the tenant's policies, and never the same again. Nothing: nobody has
/// asked for it yet.
result<std::optional<std::int64_t>> find_policy_epoch(connection& c, const std::string& tenant);
/// Gives the tenant one, if it has none.
result<void> make_policy_epoch(connection& c, const std::string& tenant);

result<tenant_policies> find_policies(connection& c, const std::string& tenant);
/// All tenants that have an epoch.
result<std::vector<std::string>> list_policy_tenants(connection& c);
/// Of all tenants.
result<std::int64_t> count_policies(connection& c);
/// Replaces what stood there, gives the tenant another epoch and tells the other programs. True when it is new.
result<bool> put_policy(connection& c, const policy_row& p);
/// The same; false, and no other epoch, where there was none.
result<bool> remove_policy(connection& c, const policy_place& place);
/// With the tenant itself: all that it has, and its epoch.
result<void> remove_policies(connection& c, const std::string& tenant);

/// The tenant's, by name.
result<std::vector<group_row>> list_groups(connection& c, const std::string& tenant);
result<std::optional<group_row>> find_group(connection& c, const std::string& name);
/// Whether there is such a group; it stays so until this transaction has ended.
result<bool> hold_group(connection& c, const std::string& name);
result<std::int64_t> count_groups(connection& c);
/// True when it is new; else the description is replaced.
result<bool> put_group(connection& c, const group_row& g);
/// With its policy. True when there was one. Errors: failed_precondition (it has devices, or an enrolment token names
/// it).
result<bool> remove_group(connection& c, const std::string& tenant, const std::string& name);

}  // namespace evp::sql
