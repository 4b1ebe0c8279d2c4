// /v1/policy and those of groups and devices: which storage devices may use, and how much. /v1/device-groups.
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "base/names.h"

namespace evp::api {
namespace {

namespace field = backend::policy_field;
using backend::policy;
using backend::policy_scope;
using backend::policy_target;

constexpr http::route_options body_limit{.max_body = 64 * 1024};

result<std::optional<std::uint64_t>> optional_count(const wire::json_reader& body, std::string_view name) {
  TRY(const auto n, body.optional_integer(name));
  if (!n) return std::nullopt;
  return std::optional(std::uint64_t(std::max<std::int64_t>(0, *n)));  // what is below 1 the backend refuses
}

result<policy> read_policy(const http::server_request& r) {
  TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CHECK(body.only({field::default_storage, field::storages, field::operations, field::name_template, field::max_size,
                   field::content_types, field::grants_per_minute, field::bytes_per_day}));
  policy out;
  TRY(out.default_storage, body.optional_text(field::default_storage, 256));
  TRY(out.storages, optional_names(body, field::storages));
  TRY(out.operations, optional_names(body, field::operations));
  TRY(out.name_template, body.optional_text(field::name_template, 4096));
  TRY(out.max_size, optional_count(body, field::max_size));
  TRY(out.content_types, optional_names(body, field::content_types));
  TRY(out.grants_per_minute, optional_count(body, field::grants_per_minute));
  TRY(out.bytes_per_day, optional_count(body, field::bytes_per_day));
  return out;
}

json::object write(const policy& p) {
  json::object o;
  const auto put = [&o](std::string_view name, json::value v) {
    o.emplace(json::string_view(name.data(), name.size()), std::move(v));
  };
  if (p.default_storage) put(field::default_storage, as_json(*p.default_storage));
  if (p.storages) put(field::storages, as_array(*p.storages));
  if (p.operations) put(field::operations, as_array(*p.operations));
  if (p.name_template) put(field::name_template, as_json(*p.name_template));
  if (p.max_size) put(field::max_size, *p.max_size);
  if (p.content_types) put(field::content_types, as_array(*p.content_types));
  if (p.grants_per_minute) put(field::grants_per_minute, *p.grants_per_minute);
  if (p.bytes_per_day) put(field::bytes_per_day, *p.bytes_per_day);
  return o;
}

json::object write(const backend::policy_view& v) {
  auto o = write(v.fields);
  o.emplace("updatedAt", as_json(format_rfc3339(v.updated_at)));
  return o;
}

template <policy_scope Scope>
policy_target target_of(const http::server_request& r) {
  if constexpr (Scope == policy_scope::tenant) return {Scope, caller_of(r).tenant};
  return {Scope, parameter(r, Scope == policy_scope::group ? "name" : "id")};
}

template <policy_scope Scope>
io::task<result<http::server_response>> put(rest_context& c, http::server_request& r) {
  CO_TRY(auto given, read_policy(r));
  auto target = target_of<Scope>(r);
  auto by = origin_of(r);
  CO_TRY(const auto saved, co_await c.backend->policies.put(std::move(target), std::move(given), std::move(by)));
  co_return json_answer(saved.is_new ? 201 : 200, write(saved.view));
}

template <policy_scope Scope>
io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  CO_TRY(const auto found, c.backend->policies.get(target_of<Scope>(r)));
  co_return json_answer(200, write(found));
}

template <policy_scope Scope>
io::task<result<http::server_response>> remove(rest_context& c, http::server_request& r) {
  auto target = target_of<Scope>(r);
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->policies.remove(std::move(target), std::move(by)));
  co_return no_content();
}

/// With "?effective=true" what counts for the device, and where each field was stated.
io::task<result<http::server_response>> get_of_device(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {"effective"}));
  const auto asked = query.find("effective");
  if (asked != query.end() && asked->second != "true" && asked->second != "false")
    co_return fail(errc::invalid_argument, "effective", "effective must be true or false");
  CO_TRY(const auto device, c.backend->devices.get(parameter(r, "id")));
  if (asked == query.end() || asked->second == "false") {
    CO_TRY(const auto found, c.backend->policies.get(target_of<policy_scope::device>(r)));
    co_return json_answer(200, write(found));
  }
  CO_TRY(const auto counts, c.backend->policies.effective(device.id));
  auto o = write(counts.fields);
  json::object sources;
  for (const auto& [name, scope] : counts.sources) sources.emplace(as_json(name), as_json(backend::to_string(scope)));
  o.emplace("sources", std::move(sources));
  if (!device.group.empty()) o.emplace("group", as_json(local_name(device.group)));
  co_return json_answer(200, o);
}

// ---- groups ----

json::object write(const backend::group_view& g) {
  json::object o;
  o.emplace("name", as_json(local_name(g.name)));
  o.emplace("description", as_json(g.description));
  o.emplace("devices", g.devices);
  o.emplace("createdAt", as_json(format_rfc3339(g.created_at)));
  return o;
}

io::task<result<http::server_response>> put_group(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"description"}));
  CO_TRY(auto description, body.optional_text("description", 1024));
  std::string name = parameter(r, "name");
  std::string text = std::move(description).value_or("");
  auto by = origin_of(r);
  CO_TRY(const auto saved, co_await c.backend->device_groups.put(std::move(name), std::move(text), std::move(by)));
  co_return json_answer(saved.is_new ? 201 : 200, write(saved.group));
}

io::task<result<http::server_response>> list_groups(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  CO_TRY(const auto found, co_await c.backend->device_groups.list(caller_of(r).tenant));
  co_return json_answer(200, write_list("deviceGroups", found, [](const auto& g) { return write(g); }));
}

io::task<result<http::server_response>> get_group(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  CO_TRY(const auto found, co_await c.backend->device_groups.get(std::move(name)));
  co_return json_answer(200, write(found));
}

io::task<result<http::server_response>> remove_group(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->remove_group(std::move(name), std::move(by)));
  co_return no_content();
}

}  // namespace

void add_policy_routes(http::router& to, rest_context& context) {
  namespace action = backend::action;
  constexpr auto tenant = policy_scope::tenant, group = policy_scope::group, device = policy_scope::device;
  constexpr audited set{action::policy_set, backend::kind::policy}, drop{action::policy_remove, backend::kind::policy};
  constexpr audited set_group{action::group_set, backend::kind::group},
      drop_group{action::group_remove, backend::kind::group};
  add_route(to, context, level::view, "GET", "/v1/policy", get<tenant>);
  add_route(to, context, level::administer, "PUT", "/v1/policy", put<tenant>, body_limit, set);
  add_route(to, context, level::administer, "DELETE", "/v1/policy", remove<tenant>, {}, drop);
  add_route(to, context, level::view, "GET", "/v1/device-groups/{name}/policy", get<group>);
  add_route(to, context, level::administer, "PUT", "/v1/device-groups/{name}/policy", put<group>, body_limit, set);
  add_route(to, context, level::administer, "DELETE", "/v1/device-groups/{name}/policy", remove<group>, {}, drop);
  add_route(to, context, level::view, "GET", "/v1/devices/{id}/policy", get_of_device);
  add_route(to, context, level::administer, "PUT", "/v1/devices/{id}/policy", put<device>, body_limit, set);
  add_route(to, context, level::administer, "DELETE", "/v1/devices/{id}/policy", remove<device>, {}, drop);

  add_route(to, context, level::view, "GET", "/v1/device-groups", list_groups);
  add_route(to, context, level::view, "GET", "/v1/device-groups/{name}", get_group);
  add_route(to, context, level::operate, "PUT", "/v1/device-groups/{name}", put_group, {.max_body = 4096}, set_group);
  add_route(to, context, level::operate, "DELETE", "/v1/device-groups/{name}", remove_group, {}, drop_group);
}

}  // namespace evp::api
