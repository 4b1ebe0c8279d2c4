// Starting one mosquitto process: its configuration, the files it inherits, its user and its output.
#pragma once

#include <sys/types.h>

#include <string>

#include "io/files.h"
#include "mqtt/embedded_broker.h"

namespace evp::mqtt {

struct broker_ports {
  std::uint16_t devices = 0;
  std::uint16_t backend = 0;  ///< may be the same
};

struct broker_child {
  pid_t pid = 0;
  io::unique_fd exited;  ///< pidfd: readable when the process has ended
  io::unique_fd output;  ///< its stdout and stderr, non-blocking
};

/// Whether devices and backend can share one listener.
bool shares_listener(const embedded_broker_options& o);
/// Everything about the options that can be known without starting. Errors: see embedded_broker::start.
result<void> check(const embedded_broker_options& o);
/// A port of this address that nobody listens on at this moment. Errors by errno.
result<std::uint16_t> free_port(const std::string& address);
/// Starts the process; it has not begun to listen yet. Errors: not_found, failed_precondition, by errno.
result<broker_child> start_child(const embedded_broker_options& o, broker_ports ports, const secret& password);
/// Reaps it if it has ended. True: it has.
bool reap(broker_child& child);

}  // namespace evp::mqtt
