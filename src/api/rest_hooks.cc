// /v1/hooks: receivers that are told of each finished upload.
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"

namespace evp::api {
namespace {

constexpr http::route_options body_limit{.max_body = 128 * 1024};

result<std::vector<std::string>> read_names(const wire::json_reader& body, std::string_view field) {
  std::vector<std::string> out;
  TRY(const auto* given, body.optional_array(field));
  if (!given) return out;
  for (const auto& v : *given) {
    if (!v.is_string())
      return fail(errc::invalid_argument, std::string(field), std::string(field) + " must be an array of strings");
    out.emplace_back(v.get_string().data(), v.get_string().size());
  }
  return out;
}

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
  TRY(out.services, read_names(body, "services"));
  TRY(out.states, read_names(body, "states"));
  return out;
}

json::array as_array(const std::vector<std::string>& names) {
  json::array out;
  for (const auto& n : names) out.emplace_back(as_json(n));
  return out;
}

json::object write(const backend::hook_view& h) {
  json::object o;
  o.emplace("name", as_json(h.name));
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
  CO_TRY(const auto saved, co_await c.backend->hooks.put(std::move(name), std::move(input)));
  auto o = write(saved.hook);
  o.emplace("warnings", as_array(saved.warnings));
  co_return json_answer(saved.is_new ? 201 : 200, o);
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  CO_TRY(const auto found, co_await c.backend->hooks.list());
  co_return json_answer(200, write_list("hooks", found, [](const auto& h) { return write(h); }));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  CO_TRY(const auto found, co_await c.backend->hooks.get(std::move(name)));
  co_return json_answer(200, write(found));
}

io::task<result<http::server_response>> remove(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  CO_CHECK(co_await c.backend->hooks.remove(std::move(name)));
  co_return no_content();
}

}  // namespace

void add_hook_routes(http::router& to, rest_context& context) {
  add_route(to, context, "GET", "/v1/hooks", list);
  add_route(to, context, "GET", "/v1/hooks/{name}", get);
  add_route(to, context, "PUT", "/v1/hooks/{name}", put, body_limit);
  add_route(to, context, "DELETE", "/v1/hooks/{name}", remove);
}

}  // namespace evp::api
