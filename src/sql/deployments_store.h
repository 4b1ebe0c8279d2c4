// Tables deployments, deployment_modules and configuration: what each device is meant to run, and how.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

/// All functions: database thread; errors: the connection's, and failed_precondition (no such device or module).
/// Stores the manifest (JSON text, as the user gave it) and the ids of the modules of ours that it uses.
result<void> put_deployment(connection& c, const std::string& device, const std::string& manifest,
                            const std::vector<std::string>& modules, std::int64_t now_ms);
result<std::optional<std::string>> find_deployment(connection& c, const std::string& device);
/// True when there was one.
result<bool> remove_deployment(connection& c, const std::string& device);
/// Up to `limit` devices whose deployment uses the module.
result<std::vector<std::string>> devices_using_module(connection& c, const std::string& module, std::int64_t limit);

struct configuration_row {
  std::string key;    ///< "<instance>/<topic>"
  std::string value;  ///< any bytes
};
result<void> put_configuration(connection& c, const std::string& device, const configuration_row& row,
                               std::int64_t now_ms);
result<std::vector<configuration_row>> list_configuration(connection& c, const std::string& device);
/// True when there was one.
result<bool> remove_configuration(connection& c, const std::string& device, const std::string& key);

}  // namespace evp::sql
