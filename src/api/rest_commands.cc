// /v1/devices/{id}/commands: a question to a module instance, answered within a time limit.
#include "api/errors.h"
#include "api/rest.h"

namespace evp::api {
namespace {

std::string_view name_of(wire::command_status s) {
  switch (s) {
    case wire::command_status::ok: return "ok";
    case wire::command_status::method_not_found: return "method_not_found";
    case wire::command_status::error: break;
  }
  return "error";
}

io::task<result<http::server_response>> call(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"params", "timeLimit"}));
  backend::command order;
  order.device = parameter(r, "id");
  order.instance = parameter(r, "instance");
  order.method = parameter(r, "method");
  if (const auto* params = object.if_contains("params")) order.params = json::serialize(*params);
  CO_TRY(const auto limit, optional_duration(body, "timeLimit"));
  if (limit) order.time_limit = *limit;
  auto by = origin_of(r);
  CO_TRY(const auto answered, co_await c.backend->commands.call(std::move(order), std::move(by)));
  json::object o;
  o.emplace("status", as_json(name_of(answered.status)));
  o.emplace("response", embed(answered.response));
  if (!answered.error_message.empty()) o.emplace("errorMessage", as_json(answered.error_message));
  co_return json_answer(200, o);
}

}  // namespace

void add_command_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::operate, "POST", "/v1/devices/{id}/commands/{instance}/{method}", call,
            {.max_body = backend::commands::max_params_bytes + 1024},
            {backend::action::command_send, backend::kind::command});
}

}  // namespace evp::api
