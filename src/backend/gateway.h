// What the backend needs of the way to devices (MQTT behind a broker). Implemented in api/, doubled in tests.
#pragma once

#include <string>
#include <vector>

#include "io/task.h"
#include "wire/messages.h"

namespace evp::backend {

/// What the broker must know to let a device in.
struct device_credentials {
  std::string id;
  std::string token_sha256;  ///< 64 lower-case hexadecimal digits of SHA-256 of the token's text
  bool blocked = false;
};

/// All calls on the backend's executor. The implementation bounds each in time (2 s) and, whenever it finds the broker
/// anew, sends devices::all_credentials() and revocations::all() again: so a failure here delays a change, it never
/// loses it.
class device_gateway {
 public:
  virtual ~device_gateway() = default;
  /// Adds or changes what the broker knows. Errors: unavailable.
  virtual io::task<result<void>> set_device(device_credentials d) = 0;
  /// Forgets the device and ends its session. Errors: unavailable.
  virtual io::task<result<void>> remove_device(std::string id) = 0;
  /// Ends the device's session, if there is one. Errors: unavailable.
  virtual io::task<result<void>> kick(std::string id) = 0;
  /// From now on these certificates admit nobody, and those do again: ids of base/certificate_id.h. A session that was
  /// begun with a revoked one ends. Errors: unavailable.
  virtual io::task<result<void>> revoke(std::vector<std::string> revoked, std::vector<std::string> restored) = 0;
  /// Sends a patch of shared attributes. A device that is offline gets all with its next GET instead.
  /// Errors: unavailable.
  virtual io::task<result<void>> push(std::string id, wire::dialect d, wire::shared_attributes patch) = 0;
  /// Sends a direct command. Errors: unavailable, invalid_argument (params are no JSON).
  virtual io::task<result<void>> send_command(std::string id, wire::dialect d, wire::command_request c) = 0;
};

}  // namespace evp::backend
