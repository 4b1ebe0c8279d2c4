#include "sql/states_store.h"

#include "base/encoding.h"

namespace evp::sql {
namespace {

result<bool> has_device(connection& c, const std::string& id) {
  TRY(const auto found, c.query("SELECT id FROM devices WHERE id = :id", {{"id", id}}));
  return !found.empty();
}

}  // namespace

result<void> put_report(connection& c, const report_row& r) {
  TRY(const bool known, has_device(c, r.device));
  if (!known) return {};
  CHECK(
      c.execute("INSERT INTO device_reports (device, dialect, system_info, deployment_status, telemetry, telemetry_at, "
                "updated_at) VALUES (:device, :dialect, :info, :status, :telemetry, :telemetry_at, :now) "
                "ON CONFLICT (device) DO UPDATE SET dialect = excluded.dialect, system_info = excluded.system_info, "
                "deployment_status = excluded.deployment_status, telemetry = excluded.telemetry, "
                "telemetry_at = excluded.telemetry_at, updated_at = excluded.updated_at",
                {{"device", r.device},
                 {"dialect", r.dialect},
                 {"info", r.system_info},
                 {"status", r.deployment_status},
                 {"telemetry", r.telemetry},
                 {"telemetry_at", r.telemetry_at},
                 {"now", r.updated_at}}));
  return {};
}

result<void> put_states(connection& c, const std::string& device, const std::vector<state_row>& all) {
  TRY(const bool known, has_device(c, device));
  if (!known) return {};
  CHECK(c.execute("DELETE FROM device_states WHERE device = :device", {{"device", device}}));
  for (const auto& s : all)
    CHECK(
        c.execute("INSERT INTO device_states (device, name, value_base64, updated_at) "
                  "VALUES (:device, :name, :value, :updated)",
                  {{"device", device}, {"name", s.key}, {"value", to_base64(s.value)}, {"updated", s.updated_at}}));
  return {};
}

result<std::vector<report_row>> list_reports(connection& c) { return list_reports_after(c, "", INT64_MAX); }

result<std::vector<report_row>> list_reports_after(connection& c, const std::string& device, std::int64_t limit) {
  TRY(const auto found,
      c.query("SELECT device, dialect, system_info, deployment_status, telemetry, telemetry_at, updated_at "
              "FROM device_reports WHERE device > :after ORDER BY device LIMIT :limit",
              {{"after", device}, {"limit", limit}}));
  std::vector<report_row> out;
  out.reserve(found.size());
  for (const row& r : found)
    out.push_back({r.text("device"), r.text("dialect"), r.text("system_info"), r.text("deployment_status"),
                   r.text("telemetry"), r.integer("telemetry_at"), r.integer("updated_at")});
  return out;
}

result<std::vector<state_row>> list_states(connection& c, const std::string& device) {
  return list_states_between(c, device, device);
}

result<std::vector<state_row>> list_states_between(connection& c, const std::string& first, const std::string& last) {
  TRY(const auto found, c.query("SELECT device, name, value_base64, updated_at FROM device_states "
                                "WHERE device >= :first AND device <= :last ORDER BY device",
                                {{"first", first}, {"last", last}}));
  std::vector<state_row> out;
  for (const row& r : found) {
    TRY(auto value, from_base64(r.text("value_base64")));
    out.push_back({r.text("device"), r.text("name"), std::move(value), r.integer("updated_at")});
  }
  return out;
}

}  // namespace evp::sql
