// /v1/devices: who may connect.
#include "api/block_json.h"
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "base/encoding.h"
#include "base/names.h"

namespace evp::api {
namespace {

json::object write(const rest_context& c, const backend::device_view& d) {
  json::object o;
  o.emplace("id", as_json(local_name(d.id)));
  o.emplace("blocked", d.blocked);
  o.emplace("online", c.backend->states.online(d.id));
  o.emplace("createdAt", as_json(format_rfc3339(d.created_at)));
  if (!d.group.empty()) o.emplace("group", as_json(local_name(d.group)));
  return o;
}

json::object write(const rest_context& c, const backend::device_change& change) {
  auto o = write(c, change.device);
  if (change.broker) o.emplace("brokerError", error_object(*change.broker));
  return o;
}

io::task<result<http::server_response>> create(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"id", "group"}));
  CO_TRY(auto id, body.optional_text("id", 1024));
  CO_TRY(auto group, read_group(body, caller_of(r).tenant));
  auto by = origin_of(r);
  CO_TRY(const auto made,
         co_await c.backend->devices.create(std::move(id), caller_of(r).tenant, std::move(by), std::move(group)));
  auto o = write(c, made.device);
  json::object mqtt;  // what goes into EVP_MQTT_USERNAME and EVP_MQTT_PASSWORD
  mqtt.emplace("username", as_json(made.device.id));
  mqtt.emplace("password", as_json(made.token.reveal()));
  o.emplace("credentials", std::move(mqtt));
  auto out = json_answer(201, o);
  out.fields.push_back({"Location", resource_path("devices", local_name(made.device.id))});
  co_return out;
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {"limit", "cursor"}));
  CO_TRY(auto request, read_page(query));
  CO_TRY(const auto found, c.backend->devices.list(request, caller_of(r).tenant));
  co_return json_answer(200, write_page("devices", found, [&c](const auto& d) { return write(c, d); }));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  CO_TRY(const auto found, c.backend->devices.get(parameter(r, "id")));
  co_return json_answer(200, write(c, found));
}

io::task<result<http::server_response>> replace(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"group"}));
  CO_TRY(auto group, read_group(body, caller_of(r).tenant));
  std::string id = parameter(r, "id");
  auto by = origin_of(r);
  CO_TRY(const auto changed, co_await c.backend->devices.set_group(std::move(id), std::move(group), std::move(by)));
  co_return json_answer(200, write(c, changed));
}

io::task<result<http::server_response>> remove(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->remove_device(std::move(id), std::move(by)));
  co_return no_content();
}

io::task<result<http::server_response>> block(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {"drill", "replicas"}));
  CO_TRY(const auto how, read_manner(query));
  std::string id = parameter(r, "id");
  auto by = origin_of(r);
  CO_TRY(const auto report, co_await backend::block_device(*c.backend, std::move(id), how, std::move(by)));
  auto o = write(c, report.change);
  add_report(o, report.rest, how, caller_of(r));
  co_return json_answer(200, o);
}

io::task<result<http::server_response>> unblock(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  auto by = origin_of(r);
  CO_TRY(const auto change, co_await c.backend->devices.unblock(std::move(id), std::move(by)));
  co_return json_answer(200, write(c, change));
}

json::object write_states(const backend::device_state& s) {
  json::object out;
  for (const auto& [key, state] : s.states) {
    json::object one;
    if (is_utf8(state.value))
      one.emplace("value", as_json(state.value));
    else
      one.emplace("valueBase64", as_json(to_base64(state.value)));
    one.emplace("updatedAt", as_json(format_rfc3339(state.updated_at)));
    out.emplace(as_json(key), std::move(one));
  }
  return out;
}

io::task<result<http::server_response>> state(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  CO_CHECK(c.backend->devices.get(id));
  CO_TRY(const auto s, co_await c.backend->states.get(std::move(id)));
  json::object o;
  o.emplace("online", s.online);
  o.emplace("seenAt", s.seen_at ? json::value(as_json(format_rfc3339(*s.seen_at))) : json::value());
  o.emplace("protocol", !s.dialect ? json::value() : *s.dialect == wire::dialect::evp1 ? "EVP1" : "EVP2-TB");
  o.emplace("systemInfo", embed(s.system_info));
  o.emplace("deploymentStatus", embed(s.deployment_status));
  o.emplace("states", write_states(s));
  o.emplace("telemetry", embed(s.telemetry));
  o.emplace("telemetryAt", s.telemetry_at ? json::value(as_json(format_rfc3339(*s.telemetry_at))) : json::value());
  co_return json_answer(200, o);
}

}  // namespace

void add_device_routes(http::router& to, rest_context& context) {
  namespace action = backend::action;
  constexpr auto device = backend::kind::device;
  constexpr http::route_options small{.max_body = 16 * 1024};
  add_route(to, context, level::operate, "POST", "/v1/devices", create, small, {action::device_create, device});
  add_route(to, context, level::view, "GET", "/v1/devices", list);
  add_route(to, context, level::view, "GET", "/v1/devices/{id}", get);
  add_route(to, context, level::operate, "PUT", "/v1/devices/{id}", replace, small, {action::device_change, device});
  add_route(to, context, level::operate, "DELETE", "/v1/devices/{id}", remove, {}, {action::device_remove, device});
  add_route(to, context, level::operate, "POST", "/v1/devices/{id}/block", block, small,
            {action::device_block, device});
  add_route(to, context, level::operate, "POST", "/v1/devices/{id}/unblock", unblock, small,
            {action::device_unblock, device});
  add_route(to, context, level::view, "GET", "/v1/devices/{id}/state", state);
}

}  // namespace evp::api
