#include "sql/blocks_store.h"

#include "base/names.h"
#include "sql/live_grants.h"

namespace evp::sql {
namespace {

block_row read(const row& r) {
  return {r.text("kind"), r.text("name"), r.text("device"), r.integer("at"), r.text("actor")};
}

std::vector<block_row> read_all(const rows& found) {
  std::vector<block_row> out;
  for (const row& r : found) out.push_back(read(r));
  return out;
}

/// Row locks that many share have no queue: who wants a row alone would wait for as long as others come. The lock of
/// the table, which each of them takes beside, has one. https://www.postgresql.org/docs/15/explicit-locking.html
result<void> wait_for_grants(connection& c) {
  const bool is_alone = c.for_update().empty();
  if (!is_alone) CHECK(c.execute("LOCK TABLE block_count IN EXCLUSIVE MODE"));
  return {};
}

result<std::int64_t> count_again(connection& c) {
  CHECK(c.execute("UPDATE block_count SET present = (SELECT count(*) FROM blocks)"));
  TRY(const auto found, c.query("SELECT present FROM block_count"));
  return found.at(0).integer("present");
}

}  // namespace

result<std::vector<block_row>> list_blocks(connection& c) {
  TRY(const auto found, c.query("SELECT kind, name, device, at, actor FROM blocks ORDER BY kind, name, device"));
  return read_all(found);
}

result<bool> insert_block(connection& c, const block_row& b, std::int64_t most) {
  CHECK(wait_for_grants(c));
  TRY(const auto inserted,
      c.execute("INSERT INTO blocks (kind, name, device, at, actor) VALUES (:kind, :name, :device, :at, :actor) "
                "ON CONFLICT (kind, name, device) DO NOTHING",
                {{"kind", b.kind}, {"name", b.name}, {"device", b.device}, {"at", b.at}, {"actor", b.actor}}));
  TRY(const auto present, count_again(c));
  if (inserted > 0 && present > most)
    return fail(errc::too_large,
                "there are " + std::to_string(most) + " blocks already: lift some (GET /v1/blocks), or block devices");
  return inserted > 0;
}

result<bool> remove_block(connection& c, const block_row& b) {
  CHECK(wait_for_grants(c));
  TRY(const auto removed, c.execute("DELETE FROM blocks WHERE kind = :kind AND name = :name AND device = :device",
                                    {{"kind", b.kind}, {"name", b.name}, {"device", b.device}}));
  CHECK(count_again(c));
  return removed > 0;
}

result<std::vector<block_row>> find_blocks(connection& c, const upload_row& u) {
  const std::string tenant(tenant_of(u.device));
  const auto instance = tenant.empty() ? u.instance : tenant + tenant_separator + u.instance;
  TRY(const auto found,
      c.query(
          "SELECT kind, name, device, at, actor FROM blocks WHERE (kind = 'service' AND name IN (:service, :asked) "
          "AND device = '') OR (kind = 'instance' AND name = :instance AND device IN ('', :device)) ORDER BY kind DESC",
          {{"service", u.service_name}, {"asked", u.asked_service}, {"instance", instance}, {"device", u.device}}));
  return read_all(found);
}

result<std::vector<std::string>> find_blocked_modules(connection& c, const std::string& device) {
  TRY(const auto found, c.query("SELECT module FROM deployment_modules WHERE device = :device AND module IN (SELECT "
                                "name FROM blocks WHERE kind = 'module' AND device IN ('', :same))",
                                {{"device", device}, {"same", device}}));
  std::vector<std::string> out;
  for (const row& r : found) out.push_back(r.text("module"));
  return out;
}

result<std::vector<instance_grants_row>> list_live_grants(connection& c, const block_row& of, std::int64_t now_ms) {
  std::string text =
      "SELECT device, instance, " + std::string(live_grants_columns) + " FROM uploads WHERE expires_at > :now";
  parameters p{{"now", now_ms}};
  if (of.kind == "service") {
    text += " AND (service_name = :name OR asked_service = :asked)";
    p.push_back({"name", of.name});
    p.push_back({"asked", of.name});
  } else if (of.kind == "instance") {
    text += " AND instance = :name AND " + of_tenant(std::string(tenant_of(of.name)));
    p.push_back({"name", std::string(local_name(of.name))});
  } else {
    text += " AND device IN (SELECT device FROM deployment_modules WHERE module = :name)";
    p.push_back({"name", of.name});
  }
  if (!of.device.empty()) {
    text += " AND device = :device";
    p.push_back({"device", of.device});
  }
  TRY(const auto found, c.query(text + " GROUP BY device, instance ORDER BY device, instance", p));
  std::vector<instance_grants_row> out;
  for (const row& r : found) out.push_back({r.text("device"), r.text("instance"), read_live_grants(r)});
  return out;
}

}  // namespace evp::sql
