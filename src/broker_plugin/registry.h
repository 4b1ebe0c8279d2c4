// Who exists, who is connected, and who may be whom: the plugin's memory and its decisions, without a broker.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/secret.h"
#include "mqtt/control.h"

namespace evp::broker_plugin {

/// A connection, by the address of the broker's structure for it. Only compared.
using connection = const void*;

/// What a CONNECT says about itself.
struct login {
  connection from = nullptr;
  std::string client_id;
  std::optional<std::string> certificate_name;  ///< CN of the verified client certificate
  std::optional<std::string> username;
  std::optional<std::string> password;
  bool clean_start = true;
};

struct session {
  std::string device;  ///< empty: the backend; observer_username: one of the operator's clients
  std::string client_id;
  bool by_certificate = false;
  bool is_backend() const noexcept { return device.empty(); }
  bool is_observer() const noexcept { return device == mqtt::control::observer_username; }
  bool is_device() const noexcept { return !is_backend() && !is_observer(); }
};

/// The broker runs on one thread, so does this.
///
/// Client ids. A device has at most one session; a newer one ends the older. Its client id is
///   - its own device id, or
///   - any id that no other device bears as its name and that no other device or the backend uses at this moment, and
///   then
///     only with a clean start: what a stranger left behind under a free id (queued messages, subscriptions) is never
///     handed out. Ids that the broker invents for empty ones ("auto-" and a random UUID) need no clean start.
/// So nobody can take over, end or inherit the session of another. Observers may have any number of sessions, always
/// with a clean start: the broker keeps nothing for one that is away.
class registry {
 public:
  explicit registry(secret backend_password) : backend_password_(std::move(backend_password)) {}

  struct admission {
    result<session> who;
    std::vector<std::string> kick;     ///< client ids whose connections must end now
    std::vector<std::string> offline;  ///< devices whose sessions ended by it
    bool came_online = false;          ///< a device that was not connected before
  };
  /// Decides on a CONNECT and remembers the connection. A second call for the same living connection with the same
  /// identity (the broker asks all again after SIGHUP) changes nothing. Errors: unauthenticated, permission_denied;
  /// their texts are for the broker's log.
  admission admit(const login& l);

  /// The connection has ended or is being replaced; from now on it is nobody. Returns the device that went offline by
  /// it.
  std::optional<std::string> left(connection from);

  const session* find(connection from) const;
  /// The client id of the device's session, or null when it is not connected.
  const std::string* client_of(std::string_view device) const;
  std::vector<std::string> online() const;
  std::size_t size() const noexcept { return devices_.size(); }

  /// Applies one command of the backend; returns the client ids whose connections must end now.
  /// Errors: too_large (devices_max), failed_precondition (replace-end without replace-begin).
  result<std::vector<std::string>> apply(connection backend, const mqtt::control::command& c);

  static constexpr std::size_t devices_max = 100'000;  ///< about 20 MB; a broker serves 10,000 well

 private:
  struct device {
    std::string token_sha256;
    bool blocked = false;
  };
  result<session> identify(const login& l) const;
  result<void> check_client_id(const login& l, const session& s) const;
  void kick(std::string_view device, std::vector<std::string>& out) const;
  result<void> set(const mqtt::control::set_device& wanted, std::vector<std::string>& out);

  secret backend_password_;
  std::string observer_sha256_;  // empty: none may come
  std::map<std::string, device, std::less<>> devices_;
  std::unordered_map<connection, session> sessions_;
  std::map<std::string, connection, std::less<>> by_device_;     // the one session of a connected device
  std::map<std::string, connection, std::less<>> by_client_id_;  // every living connection
  std::unordered_map<connection, std::set<std::string, std::less<>>> replacing_;
};

}  // namespace evp::broker_plugin
