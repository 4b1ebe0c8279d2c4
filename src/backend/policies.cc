#include "backend/policies.h"

#include <fmt/format.h>

#include "backend/lines.h"
#include "backend/row_sizes.h"
#include "backend/services.h"
#include "backend/unix_ms.h"
#include "base/names.h"

namespace evp::backend {
namespace {

tl::unexpected<error> no_policy() { return fail(errc::not_found, "there is no policy here: PUT makes one"); }

sql::policy_place place_of(const policy_target& t) {
  const bool is_tenant = t.scope == policy_scope::tenant;
  return {is_tenant ? t.name : std::string(tenant_of(t.name)), std::string(to_string(t.scope)),
          is_tenant ? std::string() : t.name};
}

/// "tenant:acme", "group:cams", "device:cam-1": the names of the tenant's own are local.
std::string name_of(const policy_target& t) {
  const bool is_tenant = t.scope == policy_scope::tenant;
  if (is_tenant) return audit_name(t.name, "tenant");
  return audit_name(tenant_of(t.name), fmt::format("{}/{}", to_string(t.scope), local_name(t.name)));
}

std::optional<std::string> lines_of(const std::optional<std::vector<std::string>>& list) {
  return list ? std::optional(to_lines(*list)) : std::nullopt;
}
std::optional<std::vector<std::string>> list_of(const std::optional<std::string>& lines) {
  return lines ? std::optional(from_lines(*lines)) : std::nullopt;
}

sql::policy_row to_row(const policy_target& target, const policy& p, timestamp now) {
  return {.place = place_of(target),
          .default_storage = p.default_storage,
          .storages = lines_of(p.storages),
          .operations = lines_of(p.operations),
          .name_template = p.name_template,
          .content_types = lines_of(p.content_types),
          .max_size = signed_size(p.max_size),
          .grants_per_minute = signed_size(p.grants_per_minute),
          .bytes_per_day = signed_size(p.bytes_per_day),
          .updated_at = to_ms(now)};
}

policy from_row(const sql::policy_row& r) {
  return {.default_storage = r.default_storage,
          .storages = list_of(r.storages),
          .operations = list_of(r.operations),
          .name_template = r.name_template,
          .max_size = unsigned_size(r.max_size),
          .content_types = list_of(r.content_types),
          .grants_per_minute = unsigned_size(r.grants_per_minute),
          .bytes_per_day = unsigned_size(r.bytes_per_day)};
}

result<void> check_target(sql::connection& c, const policy_target& t) {
  if (t.scope == policy_scope::group) {
    TRY(const bool there, sql::hold_group(c, t.name));
    if (!there) return fail(errc::not_found, "there is no device group of that name");
  }
  if (t.scope == policy_scope::device) {
    TRY(const auto device, sql::hold_device(c, t.name, false));
    if (!device) return fail(errc::not_found, "there is no device of that id");
  }
  return {};
}

}  // namespace

result<policies::tenant_state> policies::revive(const sql::tenant_policies& rows) const {
  tenant_state out;
  out.epoch = rows.epoch.value_or(0);
  for (const auto& row : rows.policies) {
    const auto scope = std::find(policy_scope_names.begin(), policy_scope_names.end(), row.place.scope);
    stated s{{from_row(row), from_ms(row.updated_at)}, std::nullopt};
    if (s.view.fields.name_template) {
      auto parsed = object_name_template::parse(*s.view.fields.name_template, policy_field::name_template);
      if (!parsed) return fail(errc::data_corrupt, "a policy has a name template that this version does not know");
      s.names = std::move(*parsed);
    }
    if (scope == policy_scope_names.end())
      return fail(errc::data_corrupt, "a policy has a scope that this version does not know");
    out.all.emplace(std::pair(policy_scope(scope - policy_scope_names.begin()), row.place.name), std::move(s));
  }
  return out;
}

io::task<result<void>> policies::load() {
  std::function<result<std::vector<std::string>>(sql::connection&)> read = sql::list_policy_tenants;
  CO_TRY(const auto all, co_await db_.run<std::vector<std::string>>(std::move(read)));
  std::erase_if(tenants_, [&](const auto& t) { return std::find(all.begin(), all.end(), t.first) == all.end(); });
  for (const auto& tenant : all) CO_CHECK(co_await refresh(tenant));
  co_return result<void>();
}

io::task<result<void>> policies::refresh(std::string tenant) {
  std::function<result<sql::tenant_policies>(sql::connection&)> read = [tenant](sql::connection& c) {
    return sql::find_policies(c, tenant);
  };
  CO_TRY(const auto rows, co_await db_.run<sql::tenant_policies>(std::move(read)));
  const auto known = tenants_.find(tenant);
  if (!rows.epoch) {
    if (known != tenants_.end()) tenants_.erase(known);
    co_return result<void>();
  }
  if (known != tenants_.end() && known->second.epoch > *rows.epoch) co_return result<void>();  // read before another
  CO_TRY(tenants_[tenant], revive(rows));
  co_return result<void>();
}

io::task<result<saved_policy>> policies::put(policy_target target, policy p, origin by) {
  auto row = to_row(target, p, clock_.now());
  const auto& tenant = row.place.tenant;
  const auto has_storage = [&](const std::string& name) {
    const auto scoped = scoped_name(tenant, name);
    return scoped && services_.get(*scoped);
  };
  auto checked = check_policy(p, has_storage);
  if (!checked) {  // it may name a storage that another backend has just made
    CO_CHECK(co_await services_.refresh());
    CO_CHECK(check_policy(p, has_storage));
  }
  std::function<result<bool>(sql::connection&)> store =
      [row, target, note = done_now(clock_, by, action::policy_set, kind::policy, name_of(target))](
          sql::connection& c) -> result<bool> {
    CHECK(check_target(c, target));
    TRY(const bool is_new, sql::put_policy(c, row));
    TRY(const auto n, sql::count_policies(c));
    if (is_new && n > max_policies)
      return fail(errc::too_large, fmt::format("there are {} policies already: state it for a group", max_policies));
    c.note(note);
    return is_new;
  };
  saved_policy out;
  CO_TRY(out.is_new, co_await db_.run<bool>(std::move(store)));
  CO_CHECK(co_await refresh(tenant));
  out.view = {std::move(p), from_ms(row.updated_at)};
  co_return out;
}

result<policy_view> policies::get(const policy_target& target) const {
  const auto place = place_of(target);
  const auto t = tenants_.find(place.tenant);
  if (t == tenants_.end()) return no_policy();
  const auto found = t->second.all.find(std::pair(target.scope, place.name));
  if (found == t->second.all.end()) return no_policy();
  return found->second.view;
}

io::task<result<void>> policies::remove(policy_target target, origin by) {
  const auto place = place_of(target);
  std::function<result<bool>(sql::connection&)> drop =
      [place, note = done_now(clock_, by, action::policy_remove, kind::policy, name_of(target))](sql::connection& c) {
        return noted(c, note, sql::remove_policy(c, place));
      };
  CO_TRY(const bool removed, co_await db_.run<bool>(std::move(drop)));
  CO_CHECK(co_await refresh(place.tenant));
  if (!removed) co_return no_policy();
  co_return result<void>();
}

std::array<const policies::stated*, 3> policies::stated_for(const tenant_state& t, const device_view& d) const {
  const auto find = [&](policy_scope scope, const std::string& name) -> const stated* {
    const auto found = t.all.find(std::pair(scope, name));
    return found == t.all.end() ? nullptr : &found->second;
  };
  return {find(policy_scope::tenant, ""), d.group.empty() ? nullptr : find(policy_scope::group, d.group),
          find(policy_scope::device, d.id)};
}

namespace {
template <class Stated>
std::array<const policy*, 3> fields_of(const std::array<const Stated*, 3>& all) {
  std::array<const policy*, 3> out{};
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i]) out[i] = &all[i]->view.fields;
  return out;
}
}  // namespace

result<effective_policy> policies::effective(std::string_view device) const {
  TRY(const auto d, devices_.get(device));
  const auto t = tenants_.find(tenant_of(device));
  if (t == tenants_.end() || t->second.all.empty()) return effective_policy();
  return merge_policies(fields_of(stated_for(t->second, d)));
}

io::task<result<device_terms>> policies::terms_of(std::string device, bool fresh) {
  const std::string tenant(tenant_of(device));
  if (fresh) {
    std::set<std::string> one{device};
    CO_CHECK(co_await devices_.refresh(std::move(one)));
    std::function<result<std::optional<std::int64_t>>(sql::connection&)> ask = [tenant](sql::connection& c) {
      return sql::find_policy_epoch(c, tenant);
    };
    CO_TRY(const auto epoch, co_await db_.run<std::optional<std::int64_t>>(std::move(ask)));
    const auto known = tenants_.find(tenant);
    const bool is_same = epoch && known != tenants_.end() && known->second.epoch == *epoch;
    if (!is_same) CO_CHECK(co_await refresh(tenant));
  }
  if (!tenants_.contains(tenant)) {  // the first grant of a new tenant
    std::function<result<void>(sql::connection&)> make = [tenant](sql::connection& c) {
      return sql::make_policy_epoch(c, tenant);
    };
    CO_CHECK(co_await db_.run<void>(std::move(make)));
    CO_CHECK(co_await refresh(tenant));
  }
  const auto d = devices_.get(device);
  if (!d) co_return fail(refusal_of_device(false));
  const auto t = tenants_.find(tenant);
  device_terms out;
  out.grant.group = d->group;
  if (t == tenants_.end()) co_return out;
  out.grant.policy_epoch = t->second.epoch;
  if (t->second.all.empty()) co_return out;
  const auto stated = stated_for(t->second, *d);
  out.fields = merge_policies(fields_of(stated)).fields;
  for (const auto* s : stated)
    if (s && s->names) out.names = s->names;
  out.grant.grants_per_minute = out.fields.grants_per_minute;
  out.grant.bytes_per_day = out.fields.bytes_per_day;
  co_return out;
}

std::optional<std::string> policies::storage_named(std::string_view device,
                                                   const std::optional<std::string>& asked) const {
  if (asked && !asked->empty()) return asked;
  const auto counts = effective(device);
  return storage_of(counts ? counts->fields : policy(), asked);
}

void policies::count_refusal(std::string_view field) {
  for (const auto known : policy_field::all)
    if (known == field) ++refusals_[known];
}

}  // namespace evp::backend
