#include "sql/deployments_store.h"

#include "base/encoding.h"

namespace evp::sql {

result<void> put_deployment(connection& c, const std::string& device, const std::string& manifest,
                            const std::vector<std::string>& modules, std::int64_t now_ms) {
  CHECK(
      c.execute("INSERT INTO deployments (device, manifest, updated_at) VALUES (:device, :manifest, :now) "
                "ON CONFLICT (device) DO UPDATE SET manifest = excluded.manifest, updated_at = excluded.updated_at",
                {{"device", device}, {"manifest", manifest}, {"now", now_ms}}));
  CHECK(c.execute("DELETE FROM deployment_modules WHERE device = :device", {{"device", device}}));
  for (const auto& m : modules)
    CHECK(c.execute("INSERT INTO deployment_modules (device, module) VALUES (:device, :module)",
                    {{"device", device}, {"module", m}}));
  return {};
}

result<std::optional<std::string>> find_deployment(connection& c, const std::string& device) {
  TRY(const auto found, c.query("SELECT manifest FROM deployments WHERE device = :device", {{"device", device}}));
  if (found.empty()) return std::nullopt;
  return found[0].text("manifest");
}

result<bool> remove_deployment(connection& c, const std::string& device) {
  TRY(const auto removed, c.execute("DELETE FROM deployments WHERE device = :device", {{"device", device}}));
  return removed > 0;
}

result<std::vector<std::string>> devices_using_module(connection& c, const std::string& module, std::int64_t limit) {
  TRY(const auto found,
      c.query("SELECT device FROM deployment_modules WHERE module = :module ORDER BY device LIMIT :limit",
              {{"module", module}, {"limit", limit}}));
  std::vector<std::string> out;
  for (const row& r : found) out.push_back(r.text("device"));
  return out;
}

result<void> put_configuration(connection& c, const std::string& device, const configuration_row& one,
                               std::int64_t now_ms) {
  CHECK(
      c.execute("INSERT INTO configuration (device, name, value_base64, updated_at) "
                "VALUES (:device, :name, :value, :now) ON CONFLICT (device, name) DO UPDATE SET "
                "value_base64 = excluded.value_base64, updated_at = excluded.updated_at",
                {{"device", device}, {"name", one.key}, {"value", to_base64(one.value)}, {"now", now_ms}}));
  return {};
}

result<std::vector<configuration_row>> list_configuration(connection& c, const std::string& device) {
  TRY(const auto found, c.query("SELECT name, value_base64 FROM configuration WHERE device = :device ORDER BY name",
                                {{"device", device}}));
  std::vector<configuration_row> out;
  for (const row& r : found) {
    TRY(auto value, from_base64(r.text("value_base64")));
    out.push_back({r.text("name"), std::move(value)});
  }
  return out;
}

result<bool> remove_configuration(connection& c, const std::string& device, const std::string& key) {
  TRY(const auto removed, c.execute("DELETE FROM configuration WHERE device = :device AND name = :name",
                                    {{"device", device}, {"name", key}}));
  return removed > 0;
}

}  // namespace evp::sql
