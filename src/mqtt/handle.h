// libmosquitto's handle, and how a connection is opened: the blocking part of the client, which runs on a thread of its
// own.
#pragma once

#include <mosquitto.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "io/task.h"
#include "mqtt/client.h"
#include "mqtt/own_tls.h"

namespace evp::mqtt {

/// Owns the handle. While a connection attempt runs, only the attempt's thread touches it.
struct handle {
  explicit handle(const options& o);
  ~handle();
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;

  struct mosquitto* mosq;
  void* owner = nullptr;  ///< what libmosquitto's callbacks report to, while it wants to hear
  /// What libmosquitto logged last as an error until CONNACK: the only way to learn why TLS failed.
  std::string last_error;
  bool opened = false;  ///< mosquitto_connect was called: from then on mosquitto_reconnect
  bool tls_ready = false;
  tls_context own_tls{nullptr, SSL_CTX_free};  ///< for a key on a token
};

struct attempt_outcome {
  int rc = MOSQ_ERR_SUCCESS;
  int saved_errno = 0;
};

/// One connection attempt on a thread of its own: DNS, TCP, and handing the CONNECT packet to the socket.
class attempt {
 public:
  /// Starts it. `done` is posted to the executor once, unless abandon() comes first.
  static std::shared_ptr<attempt> start(io::executor ex, std::shared_ptr<handle> h, options o,
                                        std::function<void(attempt_outcome)> done);
  /// From now on the executor is not touched; the thread ends by itself and then releases the handle. Blocks for
  /// nothing.
  void abandon();

 private:
  struct shared;
  std::shared_ptr<shared> shared_;
};

}  // namespace evp::mqtt
