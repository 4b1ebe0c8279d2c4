// What the device says of itself to the hub, and the settings that the hub may change about that (evp-wire.md B, C7).
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "runtime/instances.h"

namespace evp::runtime {

/// How often reports go out; `configuration_id` is echoed.
struct report_settings {
  seconds interval_min{3};
  seconds interval_max{180};
  std::optional<std::string> configuration_id;
};
inline constexpr seconds report_interval_bound{86'400};

/// A manifest that the hub sent and that is refused: reported, never applied.
struct refused_manifest {
  std::string deployment_id;  ///< empty where even that could not be read
  std::string why;
};

/// systemInfo, the settings as "state/$agent/...", and deploymentStatus. A refused manifest shows as reconcileStatus
/// "error" with its reason.
std::string encode_status_report(const deployment_status& status, const report_settings& settings,
                                 const std::optional<refused_manifest>& refused);
/// {"state/<instance>/<key>": text, ...}; values that are no UTF-8 are left out: they can't travel as JSON.
std::string encode_states(const std::map<std::string, std::string>& states);

/// The settings in a patch or GET response with a desiredDeviceConfig; nothing if it holds none. Errors:
/// invalid_argument (intervals that are no numbers, below 1 s, beyond a day, or min above max).
result<std::optional<report_settings>> read_report_settings(std::string_view payload, bool is_response,
                                                            const report_settings& present);

/// The "deploymentId" of a manifest that is not valid as a whole, or empty.
std::string deployment_id_of(std::string_view manifest);

}  // namespace evp::runtime
