#include "sql/access_store.h"

#include "base/names.h"
#include "sql/policies_store.h"

namespace evp::sql {

result<std::vector<tenant_row>> list_tenants(connection& c) {
  TRY(const auto found, c.query("SELECT id, created_at FROM tenants ORDER BY id"));
  std::vector<tenant_row> out;
  for (const row& r : found) out.push_back({r.text("id"), r.integer("created_at")});
  return out;
}

result<void> insert_tenant(connection& c, const tenant_row& t) {
  CHECK(c.execute("INSERT INTO tenants (id, created_at) VALUES (:id, :created)",
                  {{"id", t.id}, {"created", t.created_at}}));
  return {};
}

result<std::vector<std::string>> list_belongings(connection& c, const std::string& tenant) {
  struct place {
    std::string_view what, table, condition;
  };
  static constexpr place places[] = {{"devices", "devices", "substr(id, 1, "},
                                     {"modules", "modules", "substr(id, 1, "},
                                     {"storage access services", "services", "substr(name, 1, "},
                                     {"hooks", "hooks", "substr(name, 1, "},
                                     {"device groups", "device_groups", "substr(name, 1, "},
                                     {"blocks", "blocks", "substr(name, 1, "}};
  const auto prefix = tenant + tenant_separator;
  std::vector<std::string> out;
  for (const auto& p : places) {
    TRY(const auto found, c.query("SELECT count(*) AS n FROM " + std::string(p.table) + " WHERE " +
                                      std::string(p.condition) + std::to_string(prefix.size()) + ") = :prefix",
                                  {{"prefix", prefix}}));
    if (const auto n = found.at(0).integer("n"); n > 0) out.push_back(std::to_string(n) + " " + std::string(p.what));
  }
  TRY(const auto keys, c.query("SELECT count(*) AS n FROM api_keys WHERE tenant = :tenant", {{"tenant", tenant}}));
  if (const auto n = keys.at(0).integer("n"); n > 0) out.push_back(std::to_string(n) + " API keys");
  return out;
}

result<bool> remove_tenant(connection& c, const std::string& id) {
  CHECK(remove_policies(c, id));
  TRY(const auto removed, c.execute("DELETE FROM tenants WHERE id = :id", {{"id", id}}));
  return removed > 0;
}

result<std::vector<api_key_row>> list_api_keys(connection& c) {
  TRY(const auto found, c.query("SELECT id, tenant, name, role, key_sha256, created_at, expires_at FROM api_keys "
                                "ORDER BY id"));
  std::vector<api_key_row> out;
  for (const row& r : found)
    out.push_back({r.text("id"), r.text("tenant"), r.text("name"), r.text("role"), r.text("key_sha256"),
                   r.integer("created_at"), r.integer("expires_at")});
  return out;
}

result<void> insert_api_key(connection& c, const api_key_row& k) {
  CHECK(c.execute(
      "INSERT INTO api_keys (id, tenant, name, role, key_sha256, created_at, expires_at) VALUES (:id, :tenant, :name, "
      ":role, :sha256, :created, :expires)",
      {{"id", k.id},
       {"tenant", k.tenant},
       {"name", k.name},
       {"role", k.role},
       {"sha256", k.key_sha256},
       {"created", k.created_at},
       {"expires", k.expires_at}}));
  return {};
}

result<bool> remove_api_key(connection& c, const std::string& id) {
  TRY(const auto removed, c.execute("DELETE FROM api_keys WHERE id = :id", {{"id", id}}));
  return removed > 0;
}

}  // namespace evp::sql
