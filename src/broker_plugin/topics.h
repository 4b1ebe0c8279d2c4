// How topics of a device and of the backend correspond, and who may use which: pure rules, no broker.
//
//   device D publishes on v1/devices/me/X            the backend receives evp/devices/D/X
//   the backend publishes on evp/to/D/v1/devices/me/X   D alone receives v1/devices/me/X
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace evp::broker_plugin {

/// The topic under which the rest of the system sees a device's publish; nothing when it is not below v1/devices/me/.
std::optional<std::string> upstream(std::string_view device, std::string_view topic);

struct target {
  std::string_view device;
  std::string_view topic;  ///< v1/devices/me/X; a view that ends where the parsed text ends
};
/// The device and topic that a publish of the backend is meant for; nothing when it is no evp/to/D/v1/devices/me/X.
std::optional<target> downstream(std::string_view topic);

bool device_may_publish(std::string_view topic) noexcept;
/// Filters must spell out v1/devices/me/ : so no filter matches more than the device's own view, nor a shared
/// subscription.
bool device_may_subscribe(std::string_view filter) noexcept;
bool device_may_receive(std::string_view topic) noexcept;

bool backend_may_publish(std::string_view topic) noexcept;
/// Finished uploads, in filters that begin with evp/uploads/, not shared.
bool observer_may_subscribe(std::string_view filter) noexcept;
bool observer_may_receive(std::string_view topic) noexcept;

/// evp/..., $SYS/..., and $share/<group>/evp/...
bool backend_may_subscribe(std::string_view filter) noexcept;
bool backend_may_receive(std::string_view topic) noexcept;

}  // namespace evp::broker_plugin
