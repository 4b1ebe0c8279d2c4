// The policies of all tenants: in memory for the decision of each grant, in the database for good.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/audit.h"
#include "backend/devices.h"
#include "backend/grant_terms.h"
#include "backend/policy.h"
#include "io/clock.h"
#include "sql/policies_store.h"

namespace evp::backend {

class services;

/// A policy's place: the tenant's own, or that of a group or device.
struct policy_target {
  policy_scope scope = policy_scope::tenant;
  std::string name;  ///< scoped (base/names.h); of the tenant: its id, empty for the installation's own
};

struct policy_view {
  policy fields;
  timestamp updated_at;
};
struct saved_policy {
  policy_view view;
  bool is_new = false;
};

/// What decides a request of one device.
struct device_terms {
  policy fields;
  std::optional<object_name_template> names;  ///< of fields.name_template
  grant_terms grant;
};

/// Confined to its executor. Each change is recorded in the audit, in its transaction, as done by `by`, and gives the
/// tenant's policies another epoch. A grant's row names the epoch that it was decided by, and is written only while
/// that is the database's: so memory may be behind, and nothing is granted by it.
class policies {
 public:
  static constexpr std::int64_t max_policies = 10'000;  ///< of all tenants: a tenant's are read whole after a change

  policies(sql::database& db, services& s, devices& d, const io::clock& clock)
      : db_(db), services_(s), devices_(d), clock_(clock) {}

  /// Reads those of all tenants. Errors: the database's, data_corrupt.
  io::task<result<void>> load();
  /// Takes over what has changed, here or elsewhere. Errors: the database's, data_corrupt.
  io::task<result<void>> refresh(std::string tenant);

  /// Replaces what is stated there whole. Errors: invalid_argument at a field, not_found (group or device), too_large
  /// (max_policies), the database's.
  io::task<result<saved_policy>> put(policy_target target, policy p, origin by = origin());
  /// Errors: not_found.
  result<policy_view> get(const policy_target& target) const;
  /// Errors: not_found, the database's.
  io::task<result<void>> remove(policy_target target, origin by = origin());
  /// What counts for the device. Errors: not_found (the device).
  result<effective_policy> effective(std::string_view device) const;

  /// The same for a grant. `fresh`: after asking the database whether policies or the device's group have changed.
  /// Errors: permission_denied (the device is unknown), the database's.
  io::task<result<device_terms>> terms_of(std::string device, bool fresh = false);
  /// The storage that a request of the device means (see backend/policy.h), as far as is known here: for texts.
  std::optional<std::string> storage_named(std::string_view device, const std::optional<std::string>& asked) const;

  /// Counts a refused grant by the policy's field that refused it; others are not counted.
  void count_refusal(std::string_view field);
  /// By field, all of them.
  const std::map<std::string_view, std::uint64_t>& refusals() const noexcept { return refusals_; }

 private:
  struct stated {
    policy_view view;
    std::optional<object_name_template> names;
  };
  struct tenant_state {
    std::int64_t epoch = 0;
    std::map<std::pair<policy_scope, std::string>, stated, std::less<>> all;
  };
  result<tenant_state> revive(const sql::tenant_policies& rows) const;
  std::array<const stated*, 3> stated_for(const tenant_state& t, const device_view& d) const;

  sql::database& db_;
  services& services_;
  devices& devices_;
  const io::clock& clock_;
  std::map<std::string, tenant_state, std::less<>> tenants_;
  std::map<std::string_view, std::uint64_t> refusals_;
};

}  // namespace evp::backend
