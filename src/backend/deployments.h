// What each device is meant to run and how: deployment and configuration, stored, composed and pushed.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "backend/devices.h"
#include "backend/gateway.h"
#include "backend/modules.h"
#include "backend/states.h"
#include "sql/database.h"
#include "wire/messages.h"

namespace evp::backend {

/// A change is stored first; the push is an effort beside it: a device that is offline asks for all when it connects.
struct pushed {
  bool sent = false;            ///< handed to the broker
  std::optional<error> broker;  ///< why not, when the device was online
};

/// Confined to its executor. Each change is recorded in the audit, in its transaction, as done by `by`.
class deployments {
 public:
  static constexpr std::size_t max_topic_bytes = 256;
  static constexpr std::size_t max_configuration_keys = 1000;  ///< per device

  deployments(sql::database& db, devices& d, modules& m, states& s, const io::clock& clock)
      : db_(db), devices_(d), modules_(m), states_(s), clock_(clock) {}
  void set_gateway(device_gateway* gateway) { gateway_ = gateway; }

  /// Checks the manifest (JSON text) and stores it as it is. A module without a downloadUrl whose id is in /v1/modules
  /// is sent with URL and hash of our file. Errors: not_found (device), invalid_argument at the JSON path (also a
  /// module that has neither URL nor file here, unless its entryPoint is an absolute path on the device), too_large
  /// (with configuration beyond wire::max_shared_bytes), the database's.
  io::task<result<pushed>> set_deployment(std::string device, std::string manifest, origin by = origin());
  /// As it was given. Errors: not_found.
  io::task<result<std::string>> get_deployment(std::string device);
  /// The device is sent an empty manifest, so that it stops its modules. Errors: not_found.
  io::task<result<pushed>> remove_deployment(std::string device, origin by = origin());

  /// value: UTF-8. Errors: not_found (device), invalid_argument at "instance", "topic" or "value", too_large.
  io::task<result<pushed>> set_configuration(std::string device, std::string instance, std::string topic,
                                             std::string value, origin by = origin());
  /// "<instance>/<topic>" -> value. Errors: not_found (device).
  io::task<result<std::map<std::string, std::string>>> list_configuration(std::string device);
  /// Errors: not_found.
  io::task<result<pushed>> remove_configuration(std::string device, std::string instance, std::string topic,
                                                origin by = origin());

  /// The answer to the device's GET: manifest with fresh URLs (an empty manifest where there is none, so that what
  /// was removed while it was offline stops too), and configuration. Errors: permission_denied (blocked),
  /// the database's.
  io::task<result<wire::shared_attributes>> shared(std::string device);

 private:
  io::task<result<wire::shared_attributes>> stored(std::string device);
  result<std::string> with_module_urls(const std::string& manifest, std::string_view tenant) const;
  result<void> check_size(const std::string& device, wire::shared_attributes all) const;
  io::task<pushed> push(std::string device, wire::shared_attributes patch);

  sql::database& db_;
  devices& devices_;
  modules& modules_;
  states& states_;
  const io::clock& clock_;
  device_gateway* gateway_ = nullptr;
};

}  // namespace evp::backend
