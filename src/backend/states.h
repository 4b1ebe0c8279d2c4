// What devices say of themselves: presence, dialect, status, states, last telemetry. Kept in memory, written behind.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/clock.h"
#include "sql/database.h"
#include "wire/messages.h"

namespace evp::backend {

struct state_value {
  std::string value;  ///< any bytes
  timestamp updated_at;
};

struct device_state {
  bool online = false;
  std::optional<timestamp> seen_at;         ///< last message
  std::optional<timestamp> seen_stored_at;  ///< as the database will have it
  std::optional<wire::dialect> dialect;
  std::string system_info;        ///< JSON text or empty
  std::string deployment_status;  ///< JSON text or empty
  std::string telemetry;          ///< JSON text of the last message, or empty
  std::optional<timestamp> telemetry_at;
  std::map<std::string, state_value> states;  ///< "<instance>/<topic>"
};

/// Confined to its executor. A device that sends more than a bound keeps what it had before, and is told nothing:
/// the protocol has no answer for it; the counter shows it.
class states {
 public:
  static constexpr std::size_t max_states = 256;              ///< per device
  static constexpr std::size_t max_state_bytes = 128 * 1024;  ///< per device, keys and values together
  static constexpr std::size_t max_text_bytes = 64 * 1024;    ///< system info, deployment status, telemetry, each
  static constexpr milliseconds flush_every{2'000};
  /// A message that tells nothing new but that the device lives is worth a write as often as this: a write for each
  /// device that asks for grants would cost more than the grants.
  static constexpr milliseconds store_seen_every{60'000};

  states(sql::database& db, const io::clock& clock) : db_(db), clock_(clock) {}
  /// Reads dialects, so that pushes are right after a restart. Errors: the database's.
  io::task<result<void>> load();

  void on_presence(const std::string& device, bool online);
  /// Any message: shows that it lives, and which dialect it speaks where the message tells.
  void on_message(const std::string& device, std::optional<wire::dialect> d);
  void on_attributes(const std::string& device, wire::client_attributes a);
  void on_telemetry(const std::string& device, std::string json);
  /// The device is no more.
  void forget(const std::string& device);

  bool online(std::string_view device) const;
  /// EVP2 when unknown.
  wire::dialect dialect_of(std::string_view device) const;
  /// An empty state for a device that never reported.
  io::task<result<device_state>> get(std::string device) const;

  /// Writes what changed. Errors: the database's; what was not written stays to be written.
  io::task<result<void>> flush();
  /// Writes behind, until cancelled, while leads() says so: backends on one database hear the same.
  io::task<void> flush_forever(std::function<bool()> leads);

  std::uint64_t dropped() const noexcept { return dropped_; }
  std::size_t online_count() const noexcept;

 private:
  device_state& seen(const std::string& device);

  sql::database& db_;
  const io::clock& clock_;
  std::map<std::string, device_state, std::less<>> all_;
  std::set<std::string> dirty_;
  std::uint64_t dropped_ = 0;
};

}  // namespace evp::backend
