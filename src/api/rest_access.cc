// /v1/tenants and /v1/api-keys: who shares the installation, and who may use this API. /v1/caller: who one is.
// /v1/master-key: what all secrets of the installation are sealed with.
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"

namespace evp::api {
namespace {

using backend::access;

std::string_view shown(const std::string& tenant) {
  return tenant.empty() ? access::own_tenant : std::string_view(tenant);
}

json::object write(const backend::tenant_view& t) {
  json::object o;
  o.emplace("id", as_json(t.id));
  o.emplace("createdAt", as_json(format_rfc3339(t.created_at)));
  return o;
}

json::object write(const backend::api_key_view& k) {
  json::object o;
  o.emplace("id", as_json(k.id));
  o.emplace("name", as_json(k.name));
  o.emplace("role", as_json(to_string(k.what)));
  o.emplace("allTenants", !k.tenant);
  if (k.tenant) o.emplace("tenant", as_json(shown(*k.tenant)));
  o.emplace("createdAt", as_json(format_rfc3339(k.created_at)));
  if (k.expires_at) o.emplace("expiresAt", as_json(format_rfc3339(*k.expires_at)));
  return o;
}

io::task<result<http::server_response>> create_tenant(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"id"}));
  CO_TRY(auto id, body.text("id", 1024));
  auto by = origin_of(r);
  CO_TRY(const auto made, co_await c.backend->access.create_tenant(std::move(id), std::move(by)));
  auto out = json_answer(201, write(made));
  out.fields.push_back({"Location", resource_path("tenants", made.id)});
  co_return out;
}

io::task<result<http::server_response>> list_tenants(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  co_return json_answer(
      200, write_list("tenants", c.backend->access.list_tenants(), [](const auto& t) { return write(t); }));
}

io::task<result<http::server_response>> get_tenant(rest_context& c, http::server_request& r) {
  CO_TRY(const auto found, c.backend->access.get_tenant(parameter(r, "tenant")));
  co_return json_answer(200, write(found));
}

io::task<result<http::server_response>> remove_tenant(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "tenant");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->access.remove_tenant(std::move(id), std::move(by)));
  co_return no_content();
}

/// Keys for all tenants are apart from those of each: who may act in all says with ?allTenants=true that it means them.
result<std::optional<std::string>> whose_keys(const http::server_request& r) {
  const auto& who = caller_of(r);
  TRY(const auto query, read_query(r, {"allTenants"}));
  const auto all = query.find("allTenants");
  if (all == query.end() || all->second == "false") return who.tenant;
  if (all->second != "true") return fail(errc::invalid_argument, "allTenants", "allTenants must be true or false");
  CHECK(check_level(who, level::administer_all));
  return std::nullopt;
}

io::task<result<http::server_response>> create_key(rest_context& c, http::server_request& r) {
  CO_TRY(auto tenant, whose_keys(r));
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"name", "role", "expirationDuration"}));
  CO_TRY(auto name, body.text("name", 1024));
  CO_TRY(const auto role_name, body.text("role", 64));
  CO_TRY(const auto what, backend::role_from_string(role_name));
  CO_TRY(const auto lifetime, optional_duration(body, "expirationDuration"));
  auto by = origin_of(r);
  CO_TRY(const auto made,
         co_await c.backend->access.create_key(std::move(tenant), std::move(name), what, lifetime, std::move(by)));
  auto o = write(made.key);
  o.emplace("key", as_json(made.text.reveal()));
  auto out = json_answer(201, o);
  out.fields.push_back({"Location", resource_path("api-keys", made.key.id)});
  co_return out;
}

io::task<result<http::server_response>> list_keys(rest_context& c, http::server_request& r) {
  CO_TRY(const auto tenant, whose_keys(r));
  co_return json_answer(
      200, write_list("apiKeys", c.backend->access.list_keys(tenant), [](const auto& k) { return write(k); }));
}

io::task<result<http::server_response>> get_key(rest_context& c, http::server_request& r) {
  CO_TRY(const auto tenant, whose_keys(r));
  CO_TRY(const auto found, c.backend->access.get_key(tenant, parameter(r, "key")));
  co_return json_answer(200, write(found));
}

io::task<result<http::server_response>> remove_key(rest_context& c, http::server_request& r) {
  CO_TRY(auto tenant, whose_keys(r));
  std::string id = parameter(r, "key");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->access.remove_key(std::move(tenant), std::move(id), std::move(by)));
  co_return no_content();
}

io::task<result<http::server_response>> rotate_master_key(rest_context& c, http::server_request& r) {
  auto by = origin_of(r);
  CO_TRY(const auto done, co_await c.backend->rotate_master_key(std::move(by)));
  json::object o;
  o.emplace("keyId", as_json(done.id));
  o.emplace("rewrapped", done.rewrapped);
  co_return json_answer(200, o);
}

io::task<result<http::server_response>> show_caller(rest_context&, http::server_request& r) {
  const auto& who = caller_of(r);
  json::object o;
  o.emplace("actor", as_json(who.actor));
  o.emplace("role", as_json(to_string(who.what)));
  o.emplace("allTenants", who.everywhere);
  o.emplace("tenant", as_json(shown(who.tenant)));
  co_return json_answer(200, o);
}

}  // namespace

void add_access_routes(http::router& to, rest_context& context) {
  constexpr http::route_options small{.max_body = 16 * 1024};
  namespace action = backend::action;
  namespace kind = backend::kind;
  add_route(to, context, level::view, "GET", "/v1/caller", show_caller);
  add_route(to, context, level::administer_all, "POST", "/v1/master-key/rotate", rotate_master_key, {.max_body = 1024},
            {action::master_key_rotate, kind::master_key});
  add_route(to, context, level::administer_all, "POST", "/v1/tenants", create_tenant, small,
            {action::tenant_create, kind::tenant});
  add_route(to, context, level::view_all, "GET", "/v1/tenants", list_tenants);
  add_route(to, context, level::view_all, "GET", "/v1/tenants/{tenant}", get_tenant);
  add_route(to, context, level::administer_all, "DELETE", "/v1/tenants/{tenant}", remove_tenant, {},
            {action::tenant_remove, kind::tenant});
  add_route(to, context, level::administer, "POST", "/v1/api-keys", create_key, small, {action::key_create, kind::key});
  add_route(to, context, level::administer, "GET", "/v1/api-keys", list_keys);
  add_route(to, context, level::administer, "GET", "/v1/api-keys/{key}", get_key);
  add_route(to, context, level::administer, "DELETE", "/v1/api-keys/{key}", remove_key, {},
            {action::key_remove, kind::key});
}

}  // namespace evp::api
