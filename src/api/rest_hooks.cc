// /v1/hooks: receivers that are told of each finished upload.
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "base/names.h"

namespace evp::api {
namespace {

constexpr http::route_options body_limit{.max_body = 128 * 1024};

result<backend::hook_input> read_hook(const http::server_request& r) {
  TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CHECK(body.only({"url", "secret", "certificate", "services", "states"}));
  backend::hook_input out;
  TRY(out.url, body.text("url", 8192));
  TRY(auto key, body.text("secret", 4096));
  out.key = secret(std::move(key));
  TRY(auto certificate, body.optional_text("certificate", 64 * 1024));
  out.certificate = std::move(certificate).value_or("");
  TRY(auto services, optional_names(body, "services"));
  out.services = std::move(services).value_or(std::vector<std::string>());
  TRY(auto states, optional_names(body, "states"));
  out.states = std::move(states).value_or(std::vector<std::string>());
  return out;
}

json::object write(const backend::hook_view& h) {
  json::object o;
  o.emplace("name", as_json(local_name(h.name)));
  o.emplace("url", as_json(h.url));
  o.emplace("writeOnly", json::array{"secret"});
  if (!h.certificate.empty()) o.emplace("certificate", as_json(h.certificate));
  o.emplace("services", as_array(h.services));
  o.emplace("states", as_array(h.states));
  o.emplace("pending", h.pending);
  o.emplace("delivered", h.delivered);
  o.emplace("givenUp", h.given_up);
  if (h.delivered_at) o.emplace("deliveredAt", as_json(format_rfc3339(*h.delivered_at)));
  if (h.last_error) {
    o.emplace("lastError", as_json(h.last_error->text));
    o.emplace("lastErrorAt", as_json(format_rfc3339(h.last_error->at)));
  }
  if (h.last_given_up) {
    o.emplace("givenUpReason", as_json(h.last_given_up->text));
    o.emplace("givenUpAt", as_json(format_rfc3339(h.last_given_up->at)));
  }
  o.emplace("createdAt", as_json(format_rfc3339(h.created_at)));
  o.emplace("updatedAt", as_json(format_rfc3339(h.updated_at)));
  return o;
}

io::task<result<http::server_response>> put(rest_context& c, http::server_request& r) {
  CO_TRY(auto input, read_hook(r));
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_TRY(const auto saved, co_await c.backend->hooks.put(std::move(name), std::move(input), std::move(by)));
  auto o = write(saved.hook);
  o.emplace("warnings", as_array(saved.warnings));
  co_return json_answer(saved.is_new ? 201 : 200, o);
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  CO_TRY(const auto found, co_await c.backend->hooks.list(caller_of(r).tenant));
  co_return json_answer(200, write_list("hooks", found, [](const auto& h) { return write(h); }));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  CO_TRY(const auto found, co_await c.backend->hooks.get(std::move(name)));
  co_return json_answer(200, write(found));
}

io::task<result<http::server_response>> remove(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->hooks.remove(std::move(name), std::move(by)));
  co_return no_content();
}

}  // namespace

void add_hook_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::view, "GET", "/v1/hooks", list);
  add_route(to, context, level::view, "GET", "/v1/hooks/{name}", get);
  add_route(to, context, level::administer, "PUT", "/v1/hooks/{name}", put, body_limit,
            {backend::action::hook_set, backend::kind::hook});
  add_route(to, context, level::administer, "DELETE", "/v1/hooks/{name}", remove, {},
            {backend::action::hook_remove, backend::kind::hook});
}

}  // namespace evp::api
