// /v1/storage-access-services: the one API call that gives a fleet a storage.
#include <algorithm>

#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "backend/service_fields.h"
#include "base/names.h"

namespace evp::api {
namespace {

using backend::service_input;
using backend::service_view;

constexpr http::route_options body_limit{.max_body = 256 * 1024};  // certificate and keys together stay far below

std::string_view view(json::string_view s) { return {s.data(), s.size()}; }

result<http::headers> read_headers(const wire::json_reader& body) {
  http::headers out;
  TRY(const auto headers, body.optional_object("headers"));
  if (!headers) return out;
  for (const auto& field : headers->fields()) {
    std::string name(view(field.key()));
    TRY(auto value, headers->text(name, 8192));
    out.push_back({std::move(name), std::move(value)});
  }
  return out;
}

result<backend::service_bounds> read_bounds(const wire::json_reader& body) {
  backend::service_bounds out;
  TRY(const auto given, body.optional_object("bounds"));
  if (!given) return out;
  CHECK(given->only({"createOnly", "maxSize", "sourceAddress"}));
  TRY(const auto create_only, given->optional_boolean("createOnly"));
  out.create_only = create_only.value_or(false);
  TRY(const auto max_size, given->optional_integer("maxSize"));
  if (max_size && *max_size < 1)
    return fail(errc::invalid_argument, "bounds.maxSize", "bounds.maxSize must be a number of bytes from 1 on");
  if (max_size) out.max_size = std::uint64_t(*max_size);
  TRY(auto address, given->optional_text("sourceAddress", 64));
  out.source_address = std::move(address).value_or("");
  return out;
}

result<service_input> read_service(const http::server_request& r) {
  TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  service_input out;
  TRY(out.type, body.text("type", 64));
  TRY(out.name, body.optional_text("name", 256));
  TRY(out.headers, read_headers(body));
  TRY(auto certificate, body.optional_text("certificate", 256 * 1024));
  out.certificate = certificate.value_or("");
  TRY(auto duration, body.optional_text("expirationDuration", 64));
  out.expiration_duration = duration.value_or("");
  TRY(auto offline, body.optional_text("offlineGrantDuration", 64));
  out.offline_duration = std::move(offline).value_or("");
  TRY(auto names, body.optional_text("objectNameTemplate", 4096));
  out.object_name_template = names.value_or("");
  TRY(auto verify, body.optional_text("verify", 64));
  out.verify = std::move(verify).value_or("");
  TRY(out.bounds, read_bounds(body));

  for (const auto& field : object) {
    const std::string key(view(field.key()));
    const auto& v = field.value();
    const auto& known = backend::service_fields;
    const bool ours = std::find(known.begin(), known.end(), key) != known.end();
    if (ours || v.is_null()) continue;
    if (v.is_string())
      out.options.emplace(key, secret(std::string(view(v.get_string()))));
    else if (v.is_bool())
      out.options.emplace(key, v.get_bool());
    else
      return fail(errc::invalid_argument, key, key + " must be a string, true or false");
  }
  return out;
}

json::object write(const service_view& s) {
  json::object o;
  o.emplace("name", as_json(local_name(s.name)));
  o.emplace("type", as_json(s.type));
  o.emplace("endpoint", as_json(s.endpoint));
  json::array hidden;
  for (const auto& option : s.options) {
    if (option.is_secret)
      hidden.emplace_back(as_json(option.name));
    else if (option.is_boolean)
      o.emplace(as_json(option.name), option.value == "true");
    else
      o.emplace(as_json(option.name), as_json(option.value));
  }
  o.emplace("writeOnly", std::move(hidden));
  json::object headers;
  for (const auto& h : s.headers) headers.emplace(as_json(h.name), as_json(h.value));
  o.emplace("headers", std::move(headers));
  if (!s.certificate.empty()) {
    o.emplace("certificate", as_json(s.certificate));
    o.emplace("certificateId", as_json(s.certificate_id));
  }
  o.emplace("expirationDuration", as_json(format_iso8601_duration(s.expiration)));
  if (s.offline) o.emplace("offlineGrantDuration", as_json(format_iso8601_duration(*s.offline)));
  o.emplace("objectNameTemplate", as_json(s.object_name_template));
  o.emplace("verify", as_json(backend::to_string(s.verify)));
  json::object wanted, enforced;
  if (s.bounds.create_only) wanted.emplace("createOnly", true);
  if (s.bounds.max_size) wanted.emplace("maxSize", *s.bounds.max_size);
  if (!s.bounds.source_address.empty()) wanted.emplace("sourceAddress", as_json(s.bounds.source_address));
  o.emplace("bounds", std::move(wanted));
  for (const auto& b : storage::bound_names())
    enforced.emplace(as_json(b.name), as_json(backend::to_string(s.enforcement_of(b.what))));
  o.emplace("enforcement", std::move(enforced));
  o.emplace("id", as_json(s.id));
  o.emplace("revision", s.revision);
  o.emplace("createdAt", as_json(format_rfc3339(s.created_at)));
  o.emplace("updatedAt", as_json(format_rfc3339(s.updated_at)));
  return o;
}

json::object write(const rest_context& c, const service_view& s) {
  auto o = write(s);
  o.emplace("blocked", c.backend->blocks.has({backend::block_kind::service, s.name, ""}));
  return o;
}

json::object write(const backend::service_health& h) {
  json::object o;
  o.emplace("state", h.healthy ? "healthy" : "degraded");
  if (h.code) o.emplace("errorCode", as_json(to_string(*h.code)));
  if (!h.healthy) o.emplace("reason", as_json(h.reason));
  o.emplace("since", as_json(format_rfc3339(h.since)));
  return o;
}

http::server_response answer(const rest_context& c, int status, const backend::saved_service& saved) {
  auto o = write(c, saved.service);
  json::array warnings;
  for (const auto& w : saved.warnings) warnings.emplace_back(as_json(w));
  o.emplace("warnings", std::move(warnings));
  return json_answer(status, o);
}

io::task<result<http::server_response>> create(rest_context& c, http::server_request& r) {
  CO_TRY(auto input, read_service(r));
  auto by = origin_of(r);
  CO_TRY(const auto saved, co_await c.backend->services.create(std::move(input), caller_of(r).tenant, std::move(by)));
  auto out = answer(c, 201, saved);
  out.fields.push_back({"Location", resource_path("storage-access-services", local_name(saved.service.name))});
  co_return out;
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  co_return json_answer(200, write_list("services", c.backend->services.list(caller_of(r).tenant),
                                        [&c](const auto& s) { return write(c, s); }));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  CO_TRY(const auto found, c.backend->services.get(parameter(r, "name")));
  CO_TRY(const auto health, c.backend->services.health(found.name));
  auto o = write(c, found);
  o.emplace("health", write(health));
  co_return json_answer(200, o);
}

io::task<result<http::server_response>> replace(rest_context& c, http::server_request& r) {
  CO_TRY(auto input, read_service(r));
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_TRY(const auto saved, co_await c.backend->services.replace(std::move(name), std::move(input), std::move(by)));
  co_return answer(c, 200, saved);
}

io::task<result<http::server_response>> remove(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->services.remove(std::move(name), std::move(by)));
  co_return no_content();
}

io::task<result<http::server_response>> test(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  CO_TRY(const auto report, co_await c.backend->services.test(std::move(name)));
  json::array steps;
  for (const auto& step : report.steps) {
    json::object o;
    o.emplace("name", as_json(step.name));
    o.emplace("ok", !step.failure);
    o.emplace("tookMillis", step.took.count());
    if (step.failure) o.emplace("error", error_object(*step.failure));
    steps.emplace_back(std::move(o));
  }
  json::object body;
  body.emplace("ok", report.ok());
  body.emplace("steps", std::move(steps));
  co_return json_answer(200, body);
}

}  // namespace

void add_service_routes(http::router& to, rest_context& context) {
  namespace action = backend::action;
  constexpr auto service = backend::kind::service;
  add_route(to, context, level::administer, "POST", "/v1/storage-access-services", create, body_limit,
            {action::service_create, service});
  add_route(to, context, level::view, "GET", "/v1/storage-access-services", list);
  add_route(to, context, level::view, "GET", "/v1/storage-access-services/{name}", get);
  add_route(to, context, level::administer, "PUT", "/v1/storage-access-services/{name}", replace, body_limit,
            {action::service_replace, service});
  add_route(to, context, level::administer, "DELETE", "/v1/storage-access-services/{name}", remove, {},
            {action::service_remove, service});
  add_route(to, context, level::operate, "POST", "/v1/storage-access-services/{name}/test", test, {.max_body = 1024});
}

}  // namespace evp::api
