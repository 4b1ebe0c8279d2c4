#include "sql/policies_store.h"

#include "base/names.h"
#include "sql/changes_store.h"
#include "sql/nullable.h"

namespace evp::sql {
namespace {

constexpr std::string_view columns =
    "tenant, scope, name, default_storage, storages, operations, name_template, max_size, content_types, "
    "grants_per_minute, bytes_per_day, updated_at";

policy_row read(const row& r) {
  return {.place = {r.text("tenant"), r.text("scope"), r.text("name")},
          .default_storage = optional_text(r, "default_storage"),
          .storages = optional_text(r, "storages"),
          .operations = optional_text(r, "operations"),
          .name_template = optional_text(r, "name_template"),
          .content_types = optional_text(r, "content_types"),
          .max_size = optional_number(r, "max_size"),
          .grants_per_minute = optional_number(r, "grants_per_minute"),
          .bytes_per_day = optional_number(r, "bytes_per_day"),
          .updated_at = r.integer("updated_at")};
}

parameters place_of(const policy_place& p) { return {{"tenant", p.tenant}, {"scope", p.scope}, {"name", p.name}}; }

/// All numbers come from one row, so that a tenant that is removed and made again begins with a new one.
result<std::int64_t> next_epoch(connection& c) {
  CHECK(c.execute("UPDATE policy_epochs SET epoch = epoch + 1 WHERE tenant = '*'"));
  TRY(const auto found, c.query("SELECT epoch FROM policy_epochs WHERE tenant = '*'"));
  return found.at(0).integer("epoch");
}

result<void> changed(connection& c, const std::string& tenant) {
  TRY(const auto epoch, next_epoch(c));
  CHECK(
      c.execute("INSERT INTO policy_epochs (tenant, epoch) VALUES (:tenant, :epoch) ON CONFLICT (tenant) DO UPDATE SET "
                "epoch = excluded.epoch",
                {{"tenant", tenant}, {"epoch", epoch}}));
  note_change(c, "policy", tenant);
  return {};
}

constexpr std::string_view select_groups =
    "SELECT name, description, created_at, (SELECT count(*) FROM devices WHERE group_name = device_groups.name) AS "
    "members FROM device_groups ";

group_row read_group(const row& r) {
  return {r.text("name"), r.text("description"), r.integer("created_at"), r.integer("members")};
}

}  // namespace

result<std::optional<std::int64_t>> find_policy_epoch(connection& c, const std::string& tenant) {
  TRY(const auto found, c.query("SELECT epoch FROM policy_epochs WHERE tenant = :tenant", {{"tenant", tenant}}));
  if (found.empty()) return std::nullopt;
  return found[0].integer("epoch");
}

result<void> make_policy_epoch(connection& c, const std::string& tenant) {
  TRY(const auto epoch, next_epoch(c));
  CHECK(c.execute("INSERT INTO policy_epochs (tenant, epoch) VALUES (:tenant, :epoch) ON CONFLICT (tenant) DO NOTHING",
                  {{"tenant", tenant}, {"epoch", epoch}}));
  return {};
}

result<std::vector<std::string>> list_policy_tenants(connection& c) {
  TRY(const auto found, c.query("SELECT tenant FROM policy_epochs WHERE tenant <> '*' ORDER BY tenant"));
  std::vector<std::string> out;
  for (const row& r : found) out.push_back(r.text("tenant"));
  return out;
}

// The epoch first: policies that were changed meanwhile are newer than it says, and a grant by them is refused once.
result<tenant_policies> find_policies(connection& c, const std::string& tenant) {
  tenant_policies out;
  TRY(out.epoch, find_policy_epoch(c, tenant));
  TRY(const auto found,
      c.query("SELECT " + std::string(columns) + " FROM policies WHERE tenant = :tenant", {{"tenant", tenant}}));
  out.policies.reserve(found.size());
  for (const row& r : found) out.policies.push_back(read(r));
  return out;
}

result<std::int64_t> count_policies(connection& c) {
  TRY(const auto found, c.query("SELECT count(*) AS n FROM policies"));
  return found.at(0).integer("n");
}

result<bool> put_policy(connection& c, const policy_row& p) {
  TRY(const auto before,
      c.execute("DELETE FROM policies WHERE tenant = :tenant AND scope = :scope AND name = :name", place_of(p.place)));
  auto all = place_of(p.place);
  const parameters fields{{"default_storage", or_null(p.default_storage)},
                          {"storages", or_null(p.storages)},
                          {"operations", or_null(p.operations)},
                          {"name_template", or_null(p.name_template)},
                          {"max_size", or_null(p.max_size)},
                          {"content_types", or_null(p.content_types)},
                          {"grants_per_minute", or_null(p.grants_per_minute)},
                          {"bytes_per_day", or_null(p.bytes_per_day)},
                          {"updated_at", p.updated_at}};
  all.insert(all.end(), fields.begin(), fields.end());
  CHECK(c.execute("INSERT INTO policies (" + std::string(columns) +
                      ") VALUES (:tenant, :scope, :name, :default_storage, :storages, :operations, :name_template, "
                      ":max_size, :content_types, :grants_per_minute, :bytes_per_day, :updated_at)",
                  all));
  CHECK(changed(c, p.place.tenant));
  return before == 0;
}

result<bool> remove_policy(connection& c, const policy_place& place) {
  TRY(const auto removed,
      c.execute("DELETE FROM policies WHERE tenant = :tenant AND scope = :scope AND name = :name", place_of(place)));
  if (removed == 0) return false;
  CHECK(changed(c, place.tenant));
  return true;
}

result<void> remove_policies(connection& c, const std::string& tenant) {
  CHECK(c.execute("DELETE FROM policies WHERE tenant = :tenant", {{"tenant", tenant}}));
  CHECK(c.execute("DELETE FROM policy_epochs WHERE tenant = :tenant", {{"tenant", tenant}}));
  note_change(c, "policy", tenant);
  return {};
}

// Prefixes as in list_belongings; a name's tenant is what stands before its separator.
result<std::vector<group_row>> list_groups(connection& c, const std::string& tenant) {
  TRY(const auto found, c.query(std::string(select_groups) + "ORDER BY name"));
  std::vector<group_row> out;
  for (const row& r : found)
    if (auto g = read_group(r); tenant_of(g.name) == tenant) out.push_back(std::move(g));
  return out;
}

result<std::optional<group_row>> find_group(connection& c, const std::string& name) {
  TRY(const auto found, c.query(std::string(select_groups) + "WHERE name = :name", {{"name", name}}));
  if (found.empty()) return std::nullopt;
  return read_group(found[0]);
}

result<bool> hold_group(connection& c, const std::string& name) {
  const std::string text("SELECT name FROM device_groups WHERE name = :name");
  TRY(const auto found, c.query(text + std::string(c.for_share()), {{"name", name}}));
  return !found.empty();
}

result<std::int64_t> count_groups(connection& c) {
  TRY(const auto found, c.query("SELECT count(*) AS n FROM device_groups"));
  return found.at(0).integer("n");
}

result<bool> put_group(connection& c, const group_row& g) {
  TRY(const auto there, c.execute("UPDATE device_groups SET description = :description WHERE name = :name",
                                  {{"description", g.description}, {"name", g.name}}));
  if (there > 0) return false;
  CHECK(c.execute("INSERT INTO device_groups (name, description, created_at) VALUES (:name, :description, :created)",
                  {{"name", g.name}, {"description", g.description}, {"created", g.created_at}}));
  return true;
}

result<bool> remove_group(connection& c, const std::string& tenant, const std::string& name) {
  TRY(const auto removed, c.execute("DELETE FROM device_groups WHERE name = :name", {{"name", name}}));
  CHECK(remove_policy(c, {tenant, "group", name}));
  return removed > 0;
}

}  // namespace evp::sql
