// Encodes what the device reports, and reads what the hub sets about it.
#include "runtime/reports.h"

#include <sys/utsname.h>

#include "base/encoding.h"
#include "wire/json.h"

namespace evp::runtime {

namespace {
namespace json = boost::json;

json::string_view view(std::string_view s) { return {s.data(), s.size()}; }

json::object with_failure(const std::string& status, const std::string& message) {
  json::object o;
  o["status"] = status;
  if (!message.empty()) o["failureMessage"] = message;
  return o;
}

json::object deployment_object(const deployment_status& status, const std::optional<refused_manifest>& refused) {
  json::object instances, modules, out;
  for (const auto& [name, i] : status.instances) {
    json::object o = with_failure(i.status, i.failure_message);
    o["moduleId"] = i.module_id;
    instances[name] = std::move(o);
  }
  for (const auto& [id, m] : status.modules) modules[id] = with_failure(m.status, m.failure_message);
  out["instances"] = std::move(instances);
  out["modules"] = std::move(modules);
  const std::string& id = refused && !refused->deployment_id.empty() ? refused->deployment_id : status.deployment_id;
  if (!id.empty()) out["deploymentId"] = id;
  out["reconcileStatus"] = refused ? std::string("error") : status.reconcile_status;
  if (refused) out["failureMessage"] = refused->why;
  return out;
}

json::object system_info() {
  json::object o;
  utsname machine{};
  if (::uname(&machine) == 0) o["arch"] = std::string(machine.machine);
  o["os"] = "Linux";
  o["evp_agent"] = "OpenEVP " EVP_VERSION;
  o["protocolVersion"] = "EVP2-TB";
  return o;
}
}  // namespace

std::string encode_status_report(const deployment_status& status, const report_settings& settings,
                                 const std::optional<refused_manifest>& refused) {
  json::object o;
  o["systemInfo"] = system_info();
  o["state/$agent/report-status-interval-min"] = settings.interval_min.count();
  o["state/$agent/report-status-interval-max"] = settings.interval_max.count();
  if (settings.configuration_id) o["state/$agent/configuration-id"] = *settings.configuration_id;
  o["deploymentStatus"] = deployment_object(status, refused);
  return json::serialize(o);
}

std::string encode_states(const std::map<std::string, std::string>& states) {
  json::object o;
  for (const auto& [key, value] : states)
    if (is_utf8(key) && is_utf8(value)) o["state/" + key] = value;
  return json::serialize(o);
}

result<std::optional<report_settings>> read_report_settings(std::string_view payload, bool is_response,
                                                            const report_settings& present) {
  const std::optional<report_settings> none;
  TRY(const auto root, wire::parse_json_object(payload, wire::max_message_bytes));
  const wire::json_reader top(root);
  std::optional<wire::json_reader> at(std::in_place, root);
  if (is_response) {
    TRY(const auto shared, top.optional_object("shared"));
    if (!shared) return none;
    at.emplace(shared->fields(), "shared");
  }
  for (int layer = 0; layer < 2; ++layer) {  // the agent's form is wrapped twice
    TRY(const auto inner, at->optional_object("desiredDeviceConfig"));
    if (!inner) return none;
    at.emplace(inner->fields(), "desiredDeviceConfig");
  }
  report_settings wanted = present;
  TRY(const auto min, at->optional_integer("configuration/$agent/report-status-interval-min"));
  TRY(const auto max, at->optional_integer("configuration/$agent/report-status-interval-max"));
  TRY(wanted.configuration_id, at->optional_text("configuration/$agent/configuration-id", 256));
  const std::int64_t bound = report_interval_bound.count();
  for (const auto& value : {min, max})
    if (value && (*value < 1 || *value > bound))
      return fail(errc::invalid_argument, "desiredDeviceConfig", "report intervals are 1 to 86400 seconds");
  if (min) wanted.interval_min = seconds(*min);
  if (max) wanted.interval_max = seconds(*max);
  if (wanted.interval_min > wanted.interval_max)
    return fail(errc::invalid_argument, "desiredDeviceConfig", "report-status-interval-min is above the maximum");
  return wanted;
}

std::string deployment_id_of(std::string_view manifest) {
  const auto root = wire::parse_json_object(manifest, wire::max_message_bytes);
  if (!root) return {};
  const auto* id = root->if_contains(view("deploymentId"));
  return id && id->is_string() ? std::string(id->get_string()).substr(0, 256) : std::string();
}

}  // namespace evp::runtime
