// What devices publish, decoded, given to the backend, and answered. Knows the protocol, not the broker.
#pragma once

#include <functional>
#include <random>
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
  /// `retryAfterMillis` is what the backend wants and, by chance, up to as much again: but no more than this, or than a
  /// hundredth of a wait that is longer still (after a day's quota up to 14 min).
  static constexpr milliseconds max_spread{10'000};

  device_messages(io::executor ex, backend::backend& b, metrics& m);
  /// A publish of the authenticated device on v1/devices/me/X; `topic` is the relative one. Answers go `back` the way
  /// that it came; that outlives stop().
  void on_message(const std::string& device, std::string_view topic, std::string payload, const to_device& back);
  /// Returns when nothing is under way any more, or the time is up.
  io::task<void> finish(milliseconds at_most);
  /// Ends what is under way; its devices ask again.
  io::task<void> stop();
  /// Requests that are being worked on.
  std::size_t under_way() const { return under_way_.size(); }

 private:
  void on_request(const std::string& device, const std::string& id, std::string_view payload, const to_device& back);
  io::task<void> answer_request(std::string device, std::string id, wire::dialect d, wire::device_request r,
                                const to_device* back);
  io::task<void> answer_attributes(std::string device, std::string id, const to_device* back);
  void respond(const std::string& device, const std::string& id, wire::dialect d, wire::hub_response r,
               const to_device& back);
  /// Devices that are refused at one moment shall not come back at one moment.
  void spread_return(wire::hub_response& r);
  void refuse(const std::string& device, std::string_view reason, const error& e);

  backend::backend& backend_;
  metrics& metrics_;
  io::group under_way_;
  std::minstd_rand random_{std::random_device()()};
};

}  // namespace evp::api
