// The seam between the hub session and the module instances: deployment and configuration in, states and telemetry out.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "wire/messages.h"

namespace evp::runtime {

/// evp-wire.md C7: "ok", "self-exiting", "unknown", "starting", or "error" with a message.
struct instance_status {
  std::string module_id;
  std::string status;
  std::string failure_message;
};
/// "ok", "downloading", "unknown", or "error" with a message.
struct module_status {
  std::string status;
  std::string failure_message;
};
struct deployment_status {
  std::string deployment_id;
  std::string reconcile_status;  ///< "applying", "ok" or "error"
  std::map<std::string, instance_status> instances;
  std::map<std::string, module_status> modules;
};

/// What instances ask of the hub session. Implemented by the session; confined to the runtime's executor.
class hub_port {
 public:
  virtual ~hub_port() = default;
  /// `payload` is the JSON object {"<instance>/<key>": value, ...}. `sent(true)` when it was handed to the broker,
  /// `sent(false)` when it could not be within a bound. Exactly one call. Errors: too_large, rate_limited.
  virtual result<void> send_telemetry(std::string payload, std::function<void(bool)> sent) = 0;
  /// Instance states or deployment status have changed: the session reads them and reports (rate-limited by itself).
  virtual void report_changed() = 0;
};

/// All module instances of this device. Confined to the runtime's executor.
class instances {
 public:
  virtual ~instances() = default;
  /// The wanted state of the world; reconciles in the background. A later call replaces an earlier one.
  virtual void apply(wire::deployment wanted) = 0;
  /// The whole configuration: "<instance>/<topic>" -> bytes. Sends each instance what is new or changed for it.
  virtual void configure(std::map<std::string, std::string> configuration) = 0;
  /// Hands a direct command to its instance. `done` is called at most once. Errors: not_found (no such instance, or not
  /// running), rate_limited.
  virtual result<void> command(const wire::command_request& c, std::function<void(wire::command_response)> done) = 0;
  virtual deployment_status status() const = 0;
  /// "<instance>/<topic>" -> bytes, the latest value of each.
  virtual std::map<std::string, std::string> states() const = 0;
  /// The states up to now have been handed to the broker: their callbacks may say SENT.
  virtual void states_sent() = 0;
};

}  // namespace evp::runtime
