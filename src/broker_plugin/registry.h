// Who exists, who is connected, and who may be whom: the plugin's memory and its decisions, without a broker.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/certificate_id.h"
#include "base/secret.h"
#include "base/time.h"
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
  steady_time at{};                 ///< when it came
  std::string certificate_id = {};  ///< of the client certificate: 32 raw bytes (base/certificate_id.h)
};

struct session {
  std::string device;  ///< empty: the backend; observer_username: one of the operator's clients
  std::string client_id;
  bool by_certificate = false;
  std::string certificate_id;  ///< with which it was begun; empty: with none
  std::uint64_t number = 0;    ///< see mqtt::control::presence
  steady_time began{};
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
  /// Sessions are numbered from first_session on: a number above all that this broker has used before it was started.
  explicit registry(secret backend_password, std::uint64_t first_session = 1)
      : backend_password_(std::move(backend_password)), next_session_(first_session) {}

  struct admission {
    result<session> who;
    std::vector<std::string> kick;  ///< client ids whose connections must end now
    std::vector<session> offline;   ///< of devices that are not connected any more
    bool is_new = false;            ///< a device's session has begun
  };
  /// Decides on a CONNECT and remembers the connection. A second call for the same living connection with the same
  /// identity (the broker asks all again after SIGHUP) changes nothing. Errors: unauthenticated, permission_denied;
  /// their texts are for the broker's log.
  admission admit(const login& l);

  /// The connection has ended or is being replaced; from now on it is nobody. Returns the device's session that ended.
  std::optional<session> left(connection from);

  const session* find(connection from) const;
  /// The client id of the device's session, or null when it is not connected.
  const std::string* client_of(std::string_view device) const;
  /// The sessions of all connected devices; until the next call that changes anything.
  std::vector<const session*> online() const;
  std::size_t size() const noexcept { return devices_.size(); }
  std::size_t revoked() const noexcept { return revoked_.size(); }

  /// Applies one command of the backend; returns the client ids whose connections must end now.
  /// Errors: too_large (devices_max, max_revoked_certificates), failed_precondition (replace-end without
  /// replace-begin).
  result<std::vector<std::string>> apply(connection backend, const mqtt::control::command& c);

  static constexpr std::size_t devices_max = 1'000'000;  ///< 150 MB; a broker serves 10,000 at once well

 private:
  struct device {
    explicit device(const mqtt::control::set_device& wanted);
    std::string_view token_sha256() const noexcept { return {digest.data(), has_token ? digest.size() : 0}; }
    std::array<char, 32> digest{};
    bool has_token = false, blocked = false;
    std::uint64_t told_at = 0;  ///< the number of replacements that had begun when it was last told
  };
  using certificate = std::array<char, certificate_id_bytes>;  ///< an id
  struct hash_of_certificate {                                 ///< ids are hashes
    std::size_t operator()(const certificate& c) const noexcept;
  };
  static certificate as_certificate(std::string_view id);
  result<session> identify(const login& l) const;
  result<void> check_client_id(const login& l, const session& s) const;
  void kick(std::string_view device, std::vector<std::string>& out) const;
  result<void> set(const mqtt::control::set_device& wanted, std::vector<std::string>& out);

  result<void> revoke(const certificate& id, std::vector<std::string>& out);

  secret backend_password_;
  std::uint64_t next_session_;
  std::string observer_sha256_;  // empty: none may come
  std::map<std::string, device, std::less<>> devices_;
  std::unordered_map<connection, session> sessions_;
  std::map<std::string, connection, std::less<>> by_device_;     // the one session of a connected device
  std::map<std::string, connection, std::less<>> by_client_id_;  // every living connection
  std::multimap<std::string, connection> by_certificate_;        // of living connections, by its id
  /// With the number of replacements that had begun when each was told last.
  std::unordered_map<certificate, std::uint64_t, hash_of_certificate> revoked_;
  std::unordered_map<connection, std::uint64_t> replacing_;  // since which told_at a device stays
  std::uint64_t replacements_ = 0;
};

}  // namespace evp::broker_plugin
