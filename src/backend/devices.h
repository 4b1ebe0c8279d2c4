// The device registry: who may connect and ask. In memory for the hot path, in the database for good.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/gateway.h"
#include "backend/page.h"
#include "base/secret.h"
#include "io/clock.h"
#include "sql/database.h"

namespace evp::backend {

struct device_view {
  std::string id;
  bool blocked = false;
  timestamp created_at;
};

struct created_device {
  device_view device;
  secret token;  ///< shown once: only its SHA-256 is kept
};

/// What became of a change that the broker must learn too.
struct device_change {
  device_view device;
  std::optional<error> broker;  ///< set: the broker could not be told yet; it will be when it is back
};

/// Confined to its executor.
class devices {
 public:
  static constexpr std::size_t max_devices = 1'000'000;

  /// gateway may be null until set_gateway; the references outlive this.
  devices(sql::database& db, const io::clock& clock) : db_(db), clock_(clock) {}
  void set_gateway(device_gateway* gateway) { gateway_ = gateway; }

  /// Reads all devices. Once, before anything else. Errors: the database's.
  io::task<result<void>> load();

  /// The id is generated when absent. The token has 160 random bits. Errors: invalid_argument at "id", already_exists
  /// at "id", too_large (max_devices), the database's.
  io::task<result<created_device>> create(std::optional<std::string> id);
  /// By id. Errors: invalid_argument at "limit".
  result<page<device_view>> list(const page_request& r) const;
  /// Errors: not_found.
  result<device_view> get(std::string_view id) const;
  /// Errors: not_found, the database's.
  io::task<result<device_change>> remove(std::string id);
  /// From the moment this is called no request of the device is answered; its session is ended. Idempotent.
  /// Errors: not_found, the database's (the device stays refused in this process all the same).
  io::task<result<device_change>> block(std::string id);
  /// Errors: not_found, the database's.
  io::task<result<device_change>> unblock(std::string id);

  /// For every message of a device. Errors: permission_denied (unknown or blocked).
  result<void> check_active(std::string_view id) const;
  bool exists(std::string_view id) const { return all_.contains(id); }
  /// For the broker when it starts or comes back.
  std::vector<device_credentials> all_credentials() const;
  /// Whether this token is the device's; in constant time. For gateways that authenticate by themselves.
  bool token_matches(std::string_view id, const secret& token) const;

  struct counts {
    std::size_t devices = 0, blocked = 0;
  };
  counts count() const;

 private:
  struct entry {
    std::string token_sha256;
    bool blocked = false;
    timestamp created_at;
  };
  using entries = std::map<std::string, entry, std::less<>>;
  static device_view view(const entries::value_type& e);
  io::task<result<device_change>> set_blocked(std::string id, bool blocked);
  io::task<std::optional<error>> tell_broker(device_credentials d, bool kick);

  sql::database& db_;
  const io::clock& clock_;
  device_gateway* gateway_ = nullptr;
  entries all_;
};

}  // namespace evp::backend
