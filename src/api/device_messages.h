// What devices publish, decoded, given to the backend, and answered. Knows the protocol, not the broker.
#pragma once

#include <functional>
#include <string>

#include "api/metrics.h"
#include "backend/backend.h"
#include "io/task.h"

namespace evp::api {

/// Sends one message to one device, on a relative topic ("v1/devices/me/..."). Errors: the MQTT client's.
using to_device =
    std::function<result<void>(const std::string& device, std::string_view topic, std::string_view payload)>;

/// Confined to its executor.
class device_messages {
 public:
  /// Requests under way at once, over all devices: beyond it a request is refused with a text and retryAfterMillis.
  static constexpr std::size_t max_under_way = 20'000;

  device_messages(io::executor ex, backend::backend& b, metrics& m, to_device send);
  /// A publish of the authenticated device on v1/devices/me/X; `topic` is the relative one.
  void on_message(const std::string& device, std::string_view topic, std::string payload);
  /// Ends what is under way; its devices ask again.
  io::task<void> stop();

 private:
  void on_request(const std::string& device, const std::string& id, std::string_view payload);
  io::task<void> answer_request(std::string device, std::string id, wire::dialect d, wire::device_request r);
  io::task<void> answer_attributes(std::string device, std::string id);
  void respond(const std::string& device, const std::string& id, wire::dialect d, const wire::hub_response& r);
  void refuse(const std::string& device, std::string_view reason, const error& e);

  backend::backend& backend_;
  metrics& metrics_;
  to_device send_;
  io::group under_way_;
};

}  // namespace evp::api
