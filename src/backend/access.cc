#include "backend/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "backend/issued_token.h"
#include "backend/unix_ms.h"
#include "base/encoding.h"
#include "base/names.h"
#include "sql/access_store.h"
#include "sql/changes_store.h"

namespace evp::backend {
namespace {

constexpr std::array<std::pair<role, std::string_view>, 3> role_names{
    {{role::viewer, "viewer"}, {role::operator_role, "operator"}, {role::admin, "admin"}}};

constexpr std::string_view all_tenants = "*";  // in the database
constexpr std::string_view key_kind = "evpkey";

tl::unexpected<error> no_key() { return fail(errc::not_found, "there is no API key of that id"); }
tl::unexpected<error> no_tenant() { return fail(errc::not_found, "there is no tenant of that id"); }

}  // namespace

std::string_view to_string(role r) noexcept { return role_names[std::size_t(r)].second; }

result<role> role_from_string(std::string_view text) {
  for (const auto& [r, name] : role_names)
    if (name == text) return r;
  return fail(errc::invalid_argument, "role", "role must be viewer, operator or admin");
}

io::task<result<void>> access::load() {
  using all = std::pair<std::vector<sql::tenant_row>, std::vector<sql::api_key_row>>;
  std::function<result<all>(sql::connection&)> read = [](sql::connection& c) -> result<all> {
    all out;
    TRY(out.first, sql::list_tenants(c));
    TRY(out.second, sql::list_api_keys(c));
    return out;
  };
  CO_TRY(auto rows, co_await db_.run<all>(std::move(read)));
  tenants_.clear();
  keys_.clear();
  for (auto& t : rows.first) tenants_[t.id] = {t.id, from_ms(t.created_at)};
  for (auto& k : rows.second) {
    auto r = role_from_string(k.role);
    if (!r) co_return fail(errc::data_corrupt, "API key " + k.id + " has a role that this version does not know");
    entry e{{k.id, std::nullopt, k.name, *r, from_ms(k.created_at), std::nullopt}, k.key_sha256};
    if (k.tenant != all_tenants) e.view.tenant = k.tenant;
    if (k.expires_at != 0) e.view.expires_at = from_ms(k.expires_at);
    keys_.emplace(k.id, std::move(e));
  }
  co_return result<void>();
}

io::task<result<tenant_view>> access::create_tenant(std::string id, origin by) {
  if (auto ok = check_name(id, "a tenant's id"); !ok) co_return fail(std::move(std::move(ok).error()).at("id"));
  if (id == own_tenant || tenants_.contains(id))
    co_return fail(errc::already_exists, "id", "there is a tenant of that id: choose another");
  if (tenants_.size() >= max_tenants) co_return fail(errc::too_large, "this backend's number of tenants is reached");
  tenant_view made{id, clock_.now()};
  sql::tenant_row row{id, to_ms(made.created_at)};
  std::function<result<void>(sql::connection&)> insert =
      [row, note = done_now(clock_, by, action::tenant_create, kind::tenant, id)](sql::connection& c) {
        sql::note_change(c, "access", row.id);
        return noted(c, note, sql::insert_tenant(c, row));
      };
  const auto stored = co_await db_.run<void>(std::move(insert));
  if (!stored && stored.error().code() == errc::already_exists)
    co_return fail(errc::already_exists, "id", "there is a tenant of that id: choose another");
  if (!stored) co_return fail(stored.error());
  tenants_[id] = made;
  co_return made;
}

std::vector<tenant_view> access::list_tenants() const {
  std::vector<tenant_view> out;
  for (const auto& [id, t] : tenants_) out.push_back(t);
  return out;
}

result<tenant_view> access::get_tenant(std::string_view id) const {
  const auto found = tenants_.find(id);
  if (found == tenants_.end()) return no_tenant();
  return found->second;
}

io::task<result<void>> access::remove_tenant(std::string id, origin by) {
  if (!tenants_.contains(id)) co_return no_tenant();
  std::function<result<bool>(sql::connection&)> drop =
      [id, note = done_now(clock_, by, action::tenant_remove, kind::tenant, id)](sql::connection& c) -> result<bool> {
    sql::note_change(c, "access", id);
    TRY(const auto left, sql::list_belongings(c, id));
    if (!left.empty())
      return fail(errc::failed_precondition,
                  fmt::format("the tenant still has {}: remove those first", fmt::join(left, ", ")));
    return noted(c, note, sql::remove_tenant(c, id));
  };
  CO_CHECK(co_await db_.run<bool>(std::move(drop)));
  tenants_.erase(id);
  co_return result<void>();
}

io::task<result<created_api_key>> access::create_key(std::optional<std::string> tenant, std::string name, role r,
                                                     std::optional<milliseconds> lifetime, origin by) {
  if (name.empty() || name.size() > max_key_name_bytes || !is_utf8(name) || has_control_characters(name))
    co_return fail(errc::invalid_argument, "name",
                   fmt::format("name must say what the key is for, in 1 to {} bytes of text", max_key_name_bytes));
  if (lifetime && (*lifetime < min_key_lifetime || *lifetime > max_key_lifetime))
    co_return fail(errc::invalid_argument, "expirationDuration",
                   fmt::format("expirationDuration must be {} to {}", format_iso8601_duration(min_key_lifetime),
                               format_iso8601_duration(max_key_lifetime)));
  if (keys_.size() >= max_keys) co_return fail(errc::too_large, "this backend's number of API keys is reached");

  created_api_key out;
  auto made = issued_token::make(key_kind);
  out.key = {std::move(made.id), tenant, std::move(name), r, clock_.now(), std::nullopt};
  if (lifetime) out.key.expires_at = out.key.created_at + *lifetime;
  out.text = std::move(made.text);
  sql::api_key_row row;
  row.id = out.key.id;
  row.tenant = tenant.value_or(std::string(all_tenants));
  row.name = out.key.name;
  row.role = to_string(r);
  row.key_sha256 = std::move(made.sha256);
  row.created_at = to_ms(out.key.created_at);
  row.expires_at = out.key.expires_at ? to_ms(*out.key.expires_at) : 0;
  auto note = done_now(clock_, by, action::key_create, kind::key, audit_name(tenant.value_or(""), row.id),
                       fmt::format("tenant={} role={} name={}", row.tenant, row.role, row.name));
  std::function<result<void>(sql::connection&)> insert = [row, note](sql::connection& c) {
    sql::note_change(c, "access", row.id);
    return noted(c, note, sql::insert_api_key(c, row));
  };
  CO_CHECK(co_await db_.run<void>(std::move(insert)));
  keys_[row.id] = entry{out.key, row.key_sha256};
  co_return out;
}

std::vector<api_key_view> access::list_keys(const std::optional<std::string>& tenant) const {
  std::vector<api_key_view> out;
  for (const auto& [id, k] : keys_)
    if (k.view.tenant == tenant) out.push_back(k.view);
  return out;
}

result<api_key_view> access::get_key(const std::optional<std::string>& tenant, std::string_view id) const {
  const auto found = keys_.find(id);
  if (found == keys_.end() || found->second.view.tenant != tenant) return no_key();
  return found->second.view;
}

io::task<result<void>> access::remove_key(std::optional<std::string> tenant, std::string id, origin by) {
  CO_CHECK(get_key(tenant, id));
  keys_.erase(id);
  std::function<result<bool>(sql::connection&)> drop =
      [id, note = done_now(clock_, by, action::key_remove, kind::key, audit_name(tenant.value_or(""), id))](sql::connection& c) {
        sql::note_change(c, "access", id);
        return noted(c, note, sql::remove_api_key(c, id));
      };
  CO_CHECK(co_await db_.run<bool>(std::move(drop)));
  keys_.erase(id);  // what load() had read before this commit may have brought it back meanwhile
  co_return result<void>();
}

result<api_key_view> access::authenticate(std::string_view text) const {
  const auto found = keys_.find(id_of_token(key_kind, text));
  if (!is_token(text, found == keys_.end() ? nullptr : &found->second.sha256))
    return fail(errc::unauthenticated, "there is no such API key, or no more");
  const auto& expires_at = found->second.view.expires_at;
  if (expires_at && *expires_at <= clock_.now())
    return fail(errc::unauthenticated, "this API key has expired: have an admin make another");
  return found->second.view;
}

}  // namespace evp::backend
