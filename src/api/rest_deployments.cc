// /v1/devices/{id}/deployment and .../configuration: what a device runs, and how.
#include "api/errors.h"
#include "api/rest.h"

namespace evp::api {
namespace {

// Somewhat above what a device can hold, so that the backend's own check answers with the true sizes.
constexpr http::route_options body_limit{.max_body = 512 * 1024};

http::server_response answer(const backend::pushed& p) {
  json::object o;
  o.emplace("sent", p.sent);
  if (p.broker) o.emplace("brokerError", error_object(*p.broker));
  return json_answer(200, o);
}

io::task<result<http::server_response>> set_deployment(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  std::string manifest = r.body;
  auto by = origin_of(r);
  CO_TRY(const auto done,
         co_await c.backend->deployments.set_deployment(std::move(id), std::move(manifest), std::move(by)));
  co_return answer(done);
}

io::task<result<http::server_response>> get_deployment(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  CO_TRY(auto manifest, co_await c.backend->deployments.get_deployment(std::move(id)));
  co_return json_answer(200, embed(manifest));
}

io::task<result<http::server_response>> remove_deployment(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  auto by = origin_of(r);
  CO_TRY(const auto done, co_await c.backend->deployments.remove_deployment(std::move(id), std::move(by)));
  co_return answer(done);
}

io::task<result<http::server_response>> set_configuration(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"value"}));
  CO_TRY(auto value, body.text("value", 512 * 1024));
  std::string id = parameter(r, "id"), instance = parameter(r, "instance"), topic = parameter(r, "topic");
  auto by = origin_of(r);
  CO_TRY(const auto done, co_await c.backend->deployments.set_configuration(
                              std::move(id), std::move(instance), std::move(topic), std::move(value), std::move(by)));
  co_return answer(done);
}

io::task<result<http::server_response>> list_configuration(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  CO_TRY(const auto all, co_await c.backend->deployments.list_configuration(std::move(id)));
  json::object values, body;
  for (const auto& [key, value] : all) values.emplace(as_json(key), as_json(value));
  body.emplace("configuration", std::move(values));
  co_return json_answer(200, body);
}

io::task<result<http::server_response>> remove_configuration(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id"), instance = parameter(r, "instance"), topic = parameter(r, "topic");
  auto by = origin_of(r);
  CO_TRY(const auto done, co_await c.backend->deployments.remove_configuration(std::move(id), std::move(instance),
                                                                               std::move(topic), std::move(by)));
  co_return answer(done);
}

}  // namespace

void add_deployment_routes(http::router& to, rest_context& context) {
  namespace action = backend::action;
  namespace kind = backend::kind;
  add_route(to, context, level::operate, "PUT", "/v1/devices/{id}/deployment", set_deployment, body_limit,
            {action::deployment_set, kind::deployment});
  add_route(to, context, level::view, "GET", "/v1/devices/{id}/deployment", get_deployment);
  add_route(to, context, level::operate, "DELETE", "/v1/devices/{id}/deployment", remove_deployment, {},
            {action::deployment_remove, kind::deployment});
  add_route(to, context, level::view, "GET", "/v1/devices/{id}/configuration", list_configuration);
  add_route(to, context, level::operate, "PUT", "/v1/devices/{id}/configuration/{instance}/{topic...}",
            set_configuration, body_limit, {action::configuration_set, kind::configuration});
  add_route(to, context, level::operate, "DELETE", "/v1/devices/{id}/configuration/{instance}/{topic...}",
            remove_configuration, {}, {action::configuration_remove, kind::configuration});
}

}  // namespace evp::api
