// Debian's mosquitto with our plugin as a supervised child: the default broker, so that a backend needs no other
// server.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/secret.h"
#include "io/task.h"
#include "mqtt/client.h"
#include "mqtt/control.h"

namespace evp::mqtt {

struct listener_tls {
  std::filesystem::path cert_file;   ///< PEM: the broker's certificate and what leads to its root
  std::filesystem::path key_file;    ///< PEM
  std::filesystem::path ca_file;     ///< PEM: who issues device certificates; needed with require_certificate
  bool require_certificate = false;  ///< devices then are who their certificate's common name says
};

struct embedded_broker_options {
  std::filesystem::path plugin;             ///< evp_broker_plugin.so
  std::string address = "127.0.0.1";        ///< of the devices' listener: a numeric IP address
  std::uint16_t port = 0;                   ///< 0: any free one
  std::optional<listener_tls> tls;          ///< of the devices' listener
  bool allow_plaintext = false;             ///< permits a listener without TLS beyond loopback
  std::filesystem::path program;            ///< empty: mosquitto in PATH, /usr/sbin or /usr/local/sbin
  std::function<void(std::string)> on_log;  ///< its warnings and errors, one line each
};

/// Confined to its executor. The child gets its configuration, its password and the TLS files as memory files: nothing
/// is written to disk, nothing secret stands in argv or in the environment. As root it runs as user `mosquitto`. It
/// dies with the thread that started it, restarts with back-off, and forgets all devices then: on_restarted and the
/// client's on_connected are the moments to send them again.
class embedded_broker {
 public:
  /// Blocks, at most 10 s, until the broker listens: for start-up. Errors: not_found (mosquitto or plugin missing),
  /// failed_precondition (port in use, plaintext beyond loopback, files unreadable), invalid_argument, unavailable.
  static result<std::unique_ptr<embedded_broker>> start(io::executor ex, embedded_broker_options o);
  ~embedded_broker();  ///< kills the child unless stop() was awaited
  embedded_broker(const embedded_broker&) = delete;
  embedded_broker& operator=(const embedded_broker&) = delete;

  std::uint16_t port() const noexcept;          ///< where devices connect
  std::uint16_t backend_port() const noexcept;  ///< where the backend connects: 127.0.0.1, without TLS
  static constexpr std::string_view backend_username = control::backend_username;
  const secret& backend_password() const noexcept;
  /// What a client of the backend needs: host, port, user name, password.
  options backend_options(std::string client_id) const;
  int pid() const noexcept;  ///< 0 while none runs

  std::function<void()> on_restarted;  ///< a new child listens

  /// SIGTERM, after 3 s SIGKILL; returns when the child is gone.
  io::task<void> stop();

 private:
  struct state;
  explicit embedded_broker(std::shared_ptr<state> s);
  std::shared_ptr<state> state_;
};

}  // namespace evp::mqtt
