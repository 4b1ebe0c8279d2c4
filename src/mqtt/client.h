// The one MQTT client (libmosquitto on the executor): reconnects by itself, bounds what it holds.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "io/task.h"

namespace evp::mqtt {

struct tls_options {
  std::string ca_file;    ///< PEM; empty: the system's certificates
  std::string cert_file;  ///< with key_file: client certificate
  std::string key_file;
};

struct options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
  std::string client_id;  ///< empty: the broker chooses
  std::string username;   ///< empty: none is sent
  secret password;
  std::optional<tls_options> tls;
  bool version5 = false;
  seconds keepalive{60};
  std::size_t max_queued_bytes = 8 << 20;  ///< publishes waiting for the socket; beyond: rate_limited
  milliseconds reconnect_min{500};         ///< doubles with full jitter up to reconnect_max; starts anew after 5 s of health
  milliseconds reconnect_max{30'000};
};

struct message {
  std::string topic;
  std::string payload;
};

struct callbacks {
  std::function<void()> on_connected;                   ///< CONNACK was positive; subscriptions have been sent
  std::function<void(const error& why)> on_disconnected;  ///< also for each failed attempt; it retries by itself
  std::function<void(message)> on_message;
};

/// Confined to its executor; callbacks run there. Connecting (DNS, TCP) blocks a thread of its own, never the executor.
class client {
 public:
  client(io::executor ex, options o, callbacks c);
  ~client();
  void subscribe(std::string filter, int qos);  ///< now if connected, and again after each reconnect
  void start();
  /// Sends what is queued for at most `grace`, then DISCONNECT.
  io::task<void> stop(milliseconds grace);
  bool connected() const noexcept;

  /// Hands the message to the socket. QoS 0: lost if the connection breaks. QoS 1: sent again after a reconnect by
  /// libmosquitto while this object lives. Errors: unavailable (not connected), rate_limited (max_queued_bytes),
  /// too_large, invalid_argument (topic).
  result<void> publish(std::string_view topic, std::string_view payload, int qos = 0);
  /// Returns when the broker has acknowledged a QoS 1 publish. Errors: as publish; unavailable when the connection breaks.
  io::task<result<void>> publish_acknowledged(std::string topic, std::string payload);

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace evp::mqtt
