// Which session of a device counts where devices connect to several brokers: the one that began last.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace evp::backend {

struct device_session {
  std::size_t broker = 0;    ///< its place among the brokers
  std::uint64_t number = 0;  ///< the broker's; 0: it gives none
  steady_time began{};       ///< by this program's clock
};

/// What brokers tell, and nothing done about it. Confined to its executor. A device has at most one session at each
/// broker, so memory is bounded by devices times brokers.
class device_sessions {
 public:
  /// A session has begun, or is told again. It takes the place of another at the same broker.
  void began(const std::string& device, device_session s);
  /// A session has ended; one of another number stays, unless it is 0. True: the device has no other.
  bool ended(const std::string& device, std::size_t broker, std::uint64_t number);
  /// Nothing is known of that broker's sessions any more. Gives the devices that have no other.
  std::vector<std::string> lost(std::size_t broker);

  /// The session that counts; null when there is none. Until the next change.
  const device_session* present(std::string_view device) const;

  struct elder {
    std::string device;
    device_session session;
  };
  /// Sessions that ought to end, since their device has a later one at another broker: `limit` at most.
  std::vector<elder> elders(std::size_t limit) const;
  bool has_elders() const noexcept { return !doubled_.empty(); }

 private:
  using entries = std::map<std::string, std::vector<device_session>, std::less<>>;  // the last one counts
  void settle(entries::iterator at);
  entries all_;
  std::set<std::string> doubled_;  // devices with more than one
};

}  // namespace evp::backend
