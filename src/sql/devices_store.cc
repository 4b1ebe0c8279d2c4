#include "sql/devices_store.h"

namespace evp::sql {

result<std::vector<device_row>> list_devices(connection& c) {
  TRY(const auto found, c.query("SELECT id, token_sha256, blocked, created_at FROM devices ORDER BY id"));
  std::vector<device_row> out;
  out.reserve(found.size());
  for (const row& r : found)
    out.push_back({r.text("id"), r.text("token_sha256"), r.integer("blocked") != 0, r.integer("created_at")});
  return out;
}

result<void> insert_device(connection& c, const device_row& d) {
  CHECK(c.execute(
      "INSERT INTO devices (id, token_sha256, blocked, created_at) VALUES (:id, :token, :blocked, :created)",
      {{"id", d.id}, {"token", d.token_sha256}, {"blocked", std::int64_t(d.blocked)}, {"created", d.created_at}}));
  return {};
}

result<void> set_device_blocked(connection& c, const std::string& id, bool blocked) {
  TRY(const auto changed, c.execute("UPDATE devices SET blocked = :blocked WHERE id = :id",
                                    {{"blocked", std::int64_t(blocked)}, {"id", id}}));
  if (changed == 0) return fail(errc::not_found, "the device exists no more");
  return {};
}

result<bool> remove_device(connection& c, const std::string& id) {
  TRY(const auto removed, c.execute("DELETE FROM devices WHERE id = :id", {{"id", id}}));
  return removed > 0;
}

}  // namespace evp::sql
