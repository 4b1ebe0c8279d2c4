// /v1/storage-access-services/{name}/change: a service's provider is changed for some of its devices, and back.
#include "api/block_json.h"
#include "api/errors.h"
#include "api/json.h"
#include "api/rest.h"
#include "base/names.h"

namespace evp::api {
namespace {

using backend::change_input;
using backend::change_view;

result<change_input> read_change(const http::server_request& r) {
  TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CHECK(body.only({"to", "percent", "fallBack", "shadow"}));
  change_input out;
  TRY(out.to, body.optional_text("to", 256));
  TRY(out.percent, body.optional_integer("percent"));
  TRY(out.shadow, body.optional_boolean("shadow"));
  TRY(const auto bound, body.optional_object("fallBack"));
  if (!bound) return out;
  CHECK(bound->only({"errorPercent", "minimum", "window"}));
  TRY(out.error_percent, bound->optional_integer("errorPercent"));
  TRY(out.minimum, bound->optional_integer("minimum"));
  TRY(out.window, optional_duration(*bound, "window"));
  return out;
}

/// Errors in a hundred outcomes, to a tenth; null where there are none.
json::value error_percent(const sql::side_counts& n) {
  if (n.outcomes() == 0) return nullptr;
  return double(n.errors() * 1000 / n.outcomes()) / 10;
}

json::object write(const sql::side_counts& n, const sql::side_counts& lately) {
  json::object window;
  window.emplace("outcomes", lately.outcomes());
  window.emplace("errorPercent", error_percent(lately));
  json::object o;
  o.emplace("granted", n.granted);
  o.emplace("notGranted", n.refused);
  o.emplace("verified", n.verified);
  o.emplace("uploaded", n.uploaded);
  o.emplace("failed", n.failed);
  o.emplace("expired", n.expired);
  o.emplace("errorPercent", error_percent(n));
  o.emplace("window", std::move(window));
  return o;
}

json::object write(const change_view& v) {
  json::object o;
  o.emplace("service", as_json(local_name(v.service)));
  o.emplace("to", as_json(local_name(v.to)));
  o.emplace("state", as_json(to_string(v.state)));
  if (!v.reason.empty()) o.emplace("reason", as_json(v.reason));
  o.emplace("percent", v.percent);
  json::object bound;
  bound.emplace("errorPercent", v.error_percent);
  bound.emplace("minimum", v.minimum);
  bound.emplace("window", as_json(format_iso8601_duration(v.window)));
  o.emplace("fallBack", std::move(bound));
  o.emplace("shadow", v.shadow);
  json::object figures;
  figures.emplace("old", write(v.figures.from, v.figures.from_lately));
  figures.emplace("new", write(v.figures.to, v.figures.to_lately));
  json::object copies;
  copies.emplace("copied", v.figures.to.copied);
  copies.emplace("failed", v.figures.to.not_copied);
  copies.emplace("skipped", v.figures.to.skipped);
  figures.emplace("shadow", std::move(copies));
  o.emplace("figures", std::move(figures));
  o.emplace("beganAt", as_json(format_rfc3339(v.began_at)));
  o.emplace("updatedAt", as_json(format_rfc3339(v.updated_at)));
  if (v.ended_at) o.emplace("endedAt", as_json(format_rfc3339(*v.ended_at)));
  if (v.still_good) o.emplace("liveGrants", write_live_grants(*v.still_good));
  return o;
}

io::task<result<http::server_response>> put(rest_context& c, http::server_request& r) {
  CO_TRY(auto input, read_change(r));
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_TRY(const auto v, co_await c.backend->provider_changes.put(std::move(name), std::move(input), std::move(by)));
  auto o = write(v);
  json::array warnings;
  for (const auto& w : v.warnings) warnings.emplace_back(as_json(w));
  o.emplace("warnings", std::move(warnings));
  co_return json_answer(200, o);
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  CO_TRY(const auto v, co_await c.backend->provider_changes.get(std::move(name)));
  co_return json_answer(200, write(v));
}

io::task<result<http::server_response>> go_back(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_TRY(const auto v, co_await c.backend->provider_changes.go_back(std::move(name), std::move(by)));
  co_return json_answer(200, write(v));
}

io::task<result<http::server_response>> finish(rest_context& c, http::server_request& r) {
  std::string name = parameter(r, "name");
  auto by = origin_of(r);
  CO_TRY(const auto v, co_await c.backend->provider_changes.finish(std::move(name), std::move(by)));
  co_return json_answer(200, write(v));
}

}  // namespace

void add_provider_change_routes(http::router& to, rest_context& context) {
  namespace action = backend::action;
  constexpr auto service = backend::kind::service;
  constexpr http::route_options small{.max_body = 4 * 1024};
  add_route(to, context, level::administer, "PUT", "/v1/storage-access-services/{name}/change", put, small,
            {action::service_change, service});
  add_route(to, context, level::view, "GET", "/v1/storage-access-services/{name}/change", get);
  add_route(to, context, level::operate, "POST", "/v1/storage-access-services/{name}/change/back", go_back, small,
            {action::service_change_back, service});
  add_route(to, context, level::administer, "POST", "/v1/storage-access-services/{name}/change/finish", finish, small,
            {action::service_change_finish, service});
}

}  // namespace evp::api
