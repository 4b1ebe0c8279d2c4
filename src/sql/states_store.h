// Tables device_reports and device_states: what each device said of itself last.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct report_row {
  std::string device;
  std::string dialect;                                    ///< "EVP1", "EVP2-TB" or empty
  std::string system_info, deployment_status, telemetry;  ///< JSON texts or empty
  std::int64_t telemetry_at = 0, updated_at = 0;          ///< Unix time, ms; 0: never
};
struct state_row {
  std::string device;
  std::string key;    ///< "<instance>/<topic>"
  std::string value;  ///< any bytes
  std::int64_t updated_at = 0;
};

/// All functions: database thread; errors: the connection's. Rows of devices that exist no more are skipped.
result<void> put_report(connection& c, const report_row& r);
/// Replaces all states of the device.
result<void> put_states(connection& c, const std::string& device, const std::vector<state_row>& all);
result<std::vector<report_row>> list_reports(connection& c);
/// By device, at most `limit` of those after that one.
result<std::vector<report_row>> list_reports_after(connection& c, const std::string& device, std::int64_t limit);
result<std::vector<state_row>> list_states(connection& c, const std::string& device);
/// Of the devices from that one to that one, by device.
result<std::vector<state_row>> list_states_between(connection& c, const std::string& first, const std::string& last);

}  // namespace evp::sql
