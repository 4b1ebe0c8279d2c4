// Which records are a tenant's is read off the names in them (base/names.h): these are what the chain protects.
#include "sql/tenant_audit_store.h"

#include "base/audit_chain.h"
#include "base/names.h"
#include "sql/audit_rows.h"

namespace evp::sql {
namespace {

/// Of which names are made, base/names.h: where a colon comes right after them, a tenant stands before it.
constexpr std::string_view name_characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";

std::string scoped_actor(const std::string& prefix, const std::string& actor) {
  if (!actor.starts_with(audit_actor::device)) return prefix + actor;
  return std::string(audit_actor::device) + prefix + actor.substr(audit_actor::device.size());
}

std::string belongs_to(std::string_view tenant, parameters& p) {
  if (tenant.empty()) {
    p.push_back({"characters", std::string(name_characters)});
    p.push_back({"words", std::string(name_characters) + " "});
    p.push_back({"others", std::string(audit_actor::others)});
    p.push_back({"oidc", std::string(audit_actor::oidc)});
    p.push_back({"oidc_length", std::int64_t(audit_actor::oidc.size())});
    return " AND object_kind NOT IN ('', 'tenant', 'master-key', 'audit') AND actor <> :others"
           " AND substr(ltrim(object_name, :characters), 1, 1) <> ':'"
           " AND (substr(ltrim(actor, :words), 1, 1) <> ':' OR substr(actor, 1, :oidc_length) = :oidc)";
  }
  const auto prefix = std::string(tenant) + tenant_separator;
  const auto device = std::string(audit_actor::device) + prefix;
  p.push_back({"tenant", std::string(tenant)});
  p.push_back({"prefix", prefix});
  p.push_back({"length", std::int64_t(prefix.size())});
  p.push_back({"device", device});
  p.push_back({"device_length", std::int64_t(device.size())});
  const std::string by_actor = prefix == audit_actor::oidc ? "" : " OR substr(actor, 1, :length) = :prefix";
  return " AND (substr(object_name, 1, :length) = :prefix OR substr(actor, 1, :device_length) = :device"
         " OR (object_kind = 'tenant' AND object_name = :tenant)" +
         by_actor + ")";
}

}  // namespace

result<std::vector<audit_row>> list_tenant_audit(connection& c, std::string_view tenant, const audit_query& q) {
  const auto prefix = tenant.empty() ? std::string() : std::string(tenant) + tenant_separator;
  auto of_tenant = q;
  if (q.object && !q.object->starts_with(prefix)) of_tenant.object = prefix + *q.object;
  parameters p;
  auto conditions = audit_conditions(of_tenant, p) + belongs_to(tenant, p);
  if (q.actor) {
    conditions += " AND (actor = :actor OR actor = :scoped_actor)";
    p.push_back({"actor", *q.actor});
    p.push_back({"scoped_actor", scoped_actor(prefix, *q.actor)});
  }
  return select_audit(c, of_tenant, conditions, std::move(p));
}

}  // namespace evp::sql
