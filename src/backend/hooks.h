// Hooks: receivers of an operator's own that are told of each finished upload.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/audit.h"
#include "backend/ledger.h"
#include "backend/sealing.h"

namespace evp::backend {

/// The body of PUT. Nothing in it has been checked but its JSON types.
struct hook_input {
  std::string url;
  secret key;
  std::string certificate;            ///< PEM; empty: the system's trust
  std::vector<std::string> services;  ///< names; empty: all
  std::vector<std::string> states;    ///< of those that end an upload; empty: all
};

/// What a user sees of a hook: no secret.
struct hook_view {
  std::string name, url, certificate;
  std::vector<std::string> services, states;
  timestamp created_at, updated_at;
  std::uint64_t pending = 0;    ///< deliveries that are still to be made
  std::uint64_t delivered = 0;  ///< since the hook was made
  std::uint64_t given_up = 0;
  struct note {
    std::string text;
    timestamp at;
  };
  std::optional<timestamp> delivered_at;  ///< the last one
  std::optional<note> last_error;         ///< of the last attempt that failed
  std::optional<note> last_given_up;      ///< why
};

struct saved_hook {
  hook_view hook;
  bool is_new = false;
  std::vector<std::string> warnings;  ///< sentences for the user
};

/// What a delivery needs.
struct live_hook {
  std::string url, certificate;
  secret key;
};

struct hooks_context {
  sql::database& db;
  const sealer& seals;
  const io::clock& clock;
  signal& outbox;  ///< notified of each change
  /// As services_context has it.
  std::function<io::task<result<std::string>>(std::string endpoint)> check_endpoint;
};

/// Confined to its executor. Each change is recorded in the audit, in its transaction, as done by `by`.
class hooks {
 public:
  static constexpr std::size_t max_hooks = 32;  ///< each finished upload is matched with all of them
  static constexpr std::size_t min_key_bytes = 32, max_key_bytes = 1024;
  static constexpr std::size_t max_filter_names = 100;

  explicit hooks(hooks_context context) : context_(std::move(context)) {}

  /// Reads all hooks: before anything else, and when another backend has changed some. Errors: the database's,
  /// data_corrupt (the master key is another).
  io::task<result<void>> load();
  /// Names of hooks are scoped ones (base/names.h); a hook is told of its own tenant's uploads only. Those of services
  /// in its filter are local.
  ///
  /// Makes the hook, or replaces it whole; what waits in the outbox stays, and goes to the new URL under the new
  /// secret. Errors, all leaving nothing stored: invalid_argument at a field, permission_denied at "url" (forbidden
  /// address), too_large (max_hooks), the database's.
  io::task<result<saved_hook>> put(std::string name, hook_input in, origin by = origin());
  /// Errors: not_found, the database's.
  io::task<result<hook_view>> get(std::string name);
  /// The tenant's, by name. Errors: the database's.
  io::task<result<std::vector<hook_view>>> list(std::string tenant = {});
  struct totals {
    std::uint64_t pending = 0, delivered = 0, given_up = 0;
  };
  /// Over the hooks of all tenants, for metrics. Errors: the database's.
  io::task<result<totals>> count();
  /// Deliveries that are still to be made are dropped. Errors: not_found, the database's.
  io::task<result<void>> remove(std::string name, origin by = origin());

  /// Null when there is none of that name.
  std::shared_ptr<const live_hook> find(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  io::task<result<std::vector<std::string>>> check(hook_input in) const;  // gives warnings

  hooks_context context_;
  std::map<std::string, std::shared_ptr<const live_hook>, std::less<>> live_;
};

}  // namespace evp::backend
