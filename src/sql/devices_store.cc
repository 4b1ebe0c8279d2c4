#include "sql/devices_store.h"

namespace evp::sql {
namespace {

constexpr std::string_view select = "SELECT id, token_sha256, blocked, created_at, group_name FROM devices ";

std::string group_of(const row& r) { return r.is_null("group_name") ? std::string() : r.text("group_name"); }

value group_or_null(const std::string& group) { return group.empty() ? value() : value(group); }

device_row read(const row& r) {
  return {r.text("id"), r.text("token_sha256"), r.integer("blocked") != 0, r.integer("created_at"), group_of(r)};
}

}  // namespace

result<std::vector<device_row>> list_devices(connection& c) { return list_devices_after(c, "", INT64_MAX); }

result<std::vector<device_row>> list_devices_after(connection& c, const std::string& id, std::int64_t limit) {
  TRY(const auto found,
      c.query(std::string(select) + "WHERE id > :after ORDER BY id LIMIT :limit", {{"after", id}, {"limit", limit}}));
  std::vector<device_row> out;
  out.reserve(found.size());
  for (const row& r : found) out.push_back(read(r));
  return out;
}

result<std::optional<device_row>> find_device(connection& c, const std::string& id) {
  TRY(const auto found, c.query(std::string(select) + "WHERE id = :id", {{"id", id}}));
  if (found.empty()) return std::nullopt;
  return read(found[0]);
}

result<std::optional<held_device>> hold_device(connection& c, const std::string& id, bool alone) {
  const std::string text("SELECT blocked, group_name FROM devices WHERE id = :id");
  TRY(const auto found, c.query(text + std::string(alone ? c.for_update() : c.for_share()), {{"id", id}}));
  if (found.empty()) return std::nullopt;
  return held_device{found[0].integer("blocked") != 0, group_of(found[0])};
}

result<void> insert_device(connection& c, const device_row& d) {
  CHECK(c.execute(
      "INSERT INTO devices (id, token_sha256, blocked, created_at, group_name) VALUES (:id, :token, :blocked, "
      ":created, :group_name)",
      {{"id", d.id},
       {"token", d.token_sha256},
       {"blocked", std::int64_t(d.blocked)},
       {"created", d.created_at},
       {"group_name", group_or_null(d.group)}}));
  return {};
}

result<void> set_device_blocked(connection& c, const std::string& id, bool blocked) {
  TRY(const auto changed, c.execute("UPDATE devices SET blocked = :blocked WHERE id = :id",
                                    {{"blocked", std::int64_t(blocked)}, {"id", id}}));
  if (changed == 0) return fail(errc::not_found, "the device exists no more");
  return {};
}

result<void> set_device_group(connection& c, const std::string& id, const std::string& group) {
  TRY(const auto changed, c.execute("UPDATE devices SET group_name = :group_name WHERE id = :id",
                                    {{"group_name", group_or_null(group)}, {"id", id}}));
  if (changed == 0) return fail(errc::not_found, "the device exists no more");
  return {};
}

result<bool> remove_device(connection& c, const std::string& id) {
  TRY(const auto removed, c.execute("DELETE FROM devices WHERE id = :id", {{"id", id}}));
  return removed > 0;
}

}  // namespace evp::sql
