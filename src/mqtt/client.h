// The one MQTT client (libmosquitto on the executor): reconnects by itself, bounds what it holds.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/device_key.h"
#include "base/secret.h"
#include "io/task.h"

namespace evp::mqtt {

struct tls_options {
  std::string ca_file;    ///< PEM; empty: the system's certificates
  std::string cert_file;  ///< with key_file: client certificate
  std::string key_file;
  std::optional<device_key> key;  ///< instead of key_file, on a token
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
  milliseconds reconnect_min{500};  ///< doubles with full jitter up to reconnect_max; starts anew after 5 s of health
  milliseconds reconnect_max{30'000};
  std::size_t max_queued_messages = 20'000;  ///< publishes not yet sent (QoS 0) or acknowledged (QoS 1)
  std::size_t max_payload_bytes = 1 << 20;   ///< of one publish; beyond: too_large
  int max_in_flight = 100;                   ///< QoS 1 publishes on the wire at once; more make mosquitto slower
  milliseconds connect_timeout{20'000};      ///< from the TCP connection to a positive CONNACK
};

struct message {
  std::string topic;
  std::string payload;
};

struct callbacks {
  std::function<void()> on_connected;                     ///< CONNACK was positive; subscriptions have been sent
  std::function<void(const error& why)> on_disconnected;  ///< also for each failed attempt; it retries by itself
  std::function<void(message)> on_message;
};

/// Confined to its executor; callbacks run there and may publish, subscribe and destroy the client. Connecting (DNS,
/// TCP) blocks a thread of its own, never the executor. While idle it wakes up four times a keepalive. TLS: the
/// broker's certificate chain and host name are always verified. The first client makes the process ignore SIGPIPE,
/// since libmosquitto writes to sockets without MSG_NOSIGNAL. start() works once in a client's life.
class client {
 public:
  client(io::executor ex, options o, callbacks c);
  ~client();  ///< drops the connection without DISCONNECT unless stop() was awaited; waiters get cancelled
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  void subscribe(std::string filter, int qos);  ///< now if connected, and again after each reconnect
  void unsubscribe(const std::string& filter);  ///< what the broker has on its way still comes
  void start();
  /// Sends what is queued for at most `grace`, then DISCONNECT. on_disconnected is not called for it.
  io::task<void> stop(milliseconds grace);
  bool connected() const noexcept;
  /// Payload and topic bytes of the publishes that are not yet sent (QoS 0) or acknowledged (QoS 1).
  std::size_t queued_bytes() const noexcept;

  /// Hands the message to the socket. QoS 0: lost if the connection breaks. QoS 1: sent again after a reconnect by
  /// libmosquitto while this object lives. Errors: unavailable (not connected), rate_limited (max_queued_bytes),
  /// too_large, invalid_argument (topic).
  result<void> publish(std::string_view topic, std::string_view payload, int qos = 0);
  /// Returns when the broker has acknowledged a QoS 1 publish. Errors: as publish; unavailable when the connection
  /// breaks.
  io::task<result<void>> publish_acknowledged(std::string topic, std::string payload);

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace evp::mqtt
