// Who may use the REST API, and for whom: tenants, and API keys with a role in one of them or in all.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/audit.h"
#include "base/secret.h"
#include "io/clock.h"
#include "sql/database.h"

namespace evp::backend {

/// What a caller may do; each includes those before it.
enum class role {
  viewer,         ///< reads everything but secrets
  operator_role,  ///< registers, blocks and commands devices, deploys
  admin,          ///< decides where files go and who may do what: storages, hooks, keys
};
/// "viewer", "operator", "admin".
std::string_view to_string(role r) noexcept;
/// Errors: invalid_argument at "role".
result<role> role_from_string(std::string_view text);

struct tenant_view {
  std::string id;
  timestamp created_at;
};

struct api_key_view {
  std::string id;
  std::optional<std::string> tenant;  ///< empty: the installation's own; nothing: all of them
  std::string name;                   ///< what it is for
  role what = role::viewer;
  timestamp created_at;
  std::optional<timestamp> expires_at;
};

struct created_api_key {
  api_key_view key;
  secret text;  ///< shown once: only its SHA-256 is kept
};

/// Tenants and keys, in memory for each request and in the database for good. Confined to its executor. Each change is
/// recorded in the audit, in its transaction, as done by `by`.
class access {
 public:
  static constexpr std::size_t max_tenants = 10'000, max_keys = 100'000;
  static constexpr std::size_t max_key_name_bytes = 128;
  static constexpr milliseconds min_key_lifetime{60'000}, max_key_lifetime = std::chrono::days(3660);
  static constexpr std::string_view own_tenant = "default";  ///< what users call the installation's own

  access(sql::database& db, const io::clock& clock) : db_(db), clock_(clock) {}
  /// Reads all. Before anything else, and again when another backend has changed them. Errors: the database's.
  io::task<result<void>> load();

  /// Errors: invalid_argument or already_exists at "id", too_large, the database's.
  io::task<result<tenant_view>> create_tenant(std::string id, origin by = origin());
  /// By id; the installation's own is not among them.
  std::vector<tenant_view> list_tenants() const;
  bool has_tenant(std::string_view id) const { return tenants_.contains(id); }
  /// Errors: not_found.
  result<tenant_view> get_tenant(std::string_view id) const;
  /// Only one to which nothing belongs; its rows in the ledger stay. Errors: not_found, failed_precondition (says what
  /// belongs to it), the database's.
  io::task<result<void>> remove_tenant(std::string id, origin by = origin());

  /// `lifetime` of nothing: the key does not expire. Its secret part has 160 random bits. Errors: invalid_argument at
  /// "name" or "expirationDuration", too_large, the database's.
  io::task<result<created_api_key>> create_key(std::optional<std::string> tenant, std::string name, role r,
                                               std::optional<milliseconds> lifetime, origin by = origin());
  /// Those of the tenant (of nothing: those for all tenants), by id.
  std::vector<api_key_view> list_keys(const std::optional<std::string>& tenant) const;
  /// Errors: not_found (also of another tenant).
  result<api_key_view> get_key(const std::optional<std::string>& tenant, std::string_view id) const;
  /// From the moment this is called the key is refused. Errors: not_found (also of another tenant), the database's (it
  /// stays refused in this process all the same).
  io::task<result<void>> remove_key(std::optional<std::string> tenant, std::string id, origin by = origin());

  /// Whose key that is; compares in constant time. Errors: unauthenticated (none of ours, or expired).
  result<api_key_view> authenticate(std::string_view text) const;

 private:
  struct entry {
    api_key_view view;
    std::string sha256;
  };
  sql::database& db_;
  const io::clock& clock_;
  std::map<std::string, tenant_view, std::less<>> tenants_;
  std::map<std::string, entry, std::less<>> keys_;
};

}  // namespace evp::backend
