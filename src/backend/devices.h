// The device registry: who may connect and ask. In memory for the hot path, in the database for good.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backend/audit.h"
#include "backend/gateway.h"
#include "backend/page.h"
#include "base/secret.h"
#include "io/clock.h"
#include "sql/devices_store.h"

namespace evp::backend {

struct device_view {
  std::string id;
  bool blocked = false;
  timestamp created_at;
  std::string group;  ///< scoped; empty: none
};

/// What a device is told that may not ask: it is blocked or, unless it `exists`, not registered.
error refusal_of_device(bool exists);

/// For who puts a device into it, in the transaction that does; an empty one is none. Errors: not_found at "group".
result<void> check_group(sql::connection& c, const std::string& group);

struct created_device {
  device_view device;
  secret token;  ///< shown once: only its SHA-256 is kept
};

/// What became of a change that the broker must learn too.
struct device_change {
  device_view device;
  std::optional<error> broker;  ///< set: the broker could not be told yet; it will be when it is back
};

/// Confined to its executor. Each change is recorded in the audit, in its transaction, as done by `by`.
class devices {
 public:
  static constexpr std::size_t max_devices = 1'000'000;

  /// gateway may be null until set_gateway; the references outlive this.
  devices(sql::database& db, const io::clock& clock) : db_(db), clock_(clock) {}
  void set_gateway(device_gateway* gateway) { gateway_ = gateway; }

  /// Reads all devices. Once, before anything else. Errors: the database's.
  io::task<result<void>> load();
  /// Takes over what others have changed in the database, of these devices, and tells the broker. Gives those that
  /// exist no more. What is being changed here stays as it is: that change will be heard of in its turn. Errors: the
  /// database's.
  io::task<result<std::vector<std::string>>> refresh(std::set<std::string> ids);
  /// The same with all devices.
  io::task<result<std::vector<std::string>>> refresh_all();

  /// Ids are scoped ones (base/names.h) but for `id` here, which is the tenant's own name for the device.
  ///
  /// The id is generated when absent. The token has 160 random bits. Errors: invalid_argument at "id", already_exists
  /// at "id", too_large (max_devices), not_found at "group" (there is none of that scoped name), the database's.
  io::task<result<created_device>> create(std::optional<std::string> id, std::string tenant = {}, origin by = origin(),
                                          std::string group = {});
  /// Makes a device that has no token, and so connects with a certificate only, unless there is one of that id; `also`
  /// is written in the same transaction. A new one begins in that group. Errors: too_large (max_devices), those of
  /// `also`, the database's.
  io::task<result<void>> admit(std::string id, std::function<result<void>(sql::connection&)> also, origin by = origin(),
                               std::string group = {});
  /// The tenant's, by id. Errors: invalid_argument at "limit" or "cursor".
  result<page<device_view>> list(const page_request& r, std::string_view tenant = {}) const;
  /// Errors: not_found.
  result<device_view> get(std::string_view id) const;
  /// `also` is done in the same transaction, while its rows are there. Errors: not_found, those of `also`, the
  /// database's.
  io::task<result<device_change>> remove(std::string id, origin by = origin(),
                                         std::function<result<void>(sql::connection&)> also = {});
  /// Puts it into another group; empty: into none. Errors: not_found (for the group at "group"), the database's.
  io::task<result<device_view>> set_group(std::string id, std::string group, origin by = origin());
  /// From the moment this is called no request of the device is answered; its session is ended. Idempotent.
  /// Errors: not_found, the database's (the device stays refused in this process all the same).
  io::task<result<device_change>> block(std::string id, origin by = origin());
  /// Errors: not_found, the database's.
  io::task<result<device_change>> unblock(std::string id, origin by = origin());

  /// Tells the broker once more what it knows already. Errors: not_found, unavailable.
  io::task<result<void>> tell_again(std::string id);

  /// For every message of a device. Errors: permission_denied (unknown or blocked).
  result<void> check_active(std::string_view id) const;
  bool exists(std::string_view id) const { return all_.contains(id); }
  /// For the broker when it starts or comes back: by id, those after that one.
  std::vector<device_credentials> all_credentials(std::string_view after = {}, std::size_t limit = max_devices) const;
  /// Whether this token is the device's; in constant time. For gateways that authenticate by themselves.
  bool token_matches(std::string_view id, const secret& token) const;

  struct counts {
    std::size_t devices = 0, blocked = 0;
  };
  counts count() const;

 private:
  struct entry {
    std::string token_sha256;
    bool blocked = false;  ///< in the database
    timestamp created_at;
    std::string group;
    bool refused = false;  ///< blocked here, whether the database could be told or not
    bool is_blocked() const noexcept { return blocked || refused; }
  };
  using entries = std::map<std::string, entry, std::less<>>;
  /// Writes the row and `also` in one transaction, then tells memory and broker. Errors: already_exists at "id", those
  /// of `also`, the database's.
  io::task<result<void>> add(sql::device_row row, std::function<result<void>(sql::connection&)> also, origin by);
  static device_view view(const entries::value_type& e);
  io::task<result<device_change>> set_blocked(std::string id, bool blocked, origin by);
  io::task<std::optional<error>> tell_broker(device_credentials d, bool kick);
  using found = std::map<std::string, std::optional<sql::device_row>, std::less<>>;  ///< nothing: it exists no more
  io::task<std::vector<std::string>> take_over(found rows);

  sql::database& db_;
  const io::clock& clock_;
  device_gateway* gateway_ = nullptr;
  entries all_;
  std::multiset<std::string, std::less<>> changing_;  ///< by who waits for the database here
};

}  // namespace evp::backend
