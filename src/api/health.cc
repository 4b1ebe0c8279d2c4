// /healthz for load balancers and supervisors, /metrics for Prometheus.
#include "api/errors.h"
#include "api/rest.h"

namespace evp::api {
namespace {

io::task<result<http::server_response>> health(rest_context& c, http::server_request&) {
  std::function<result<bool>(sql::connection&)> ask = [](sql::connection& db) -> result<bool> {
    CHECK(db.query("SELECT 1 AS one"));
    return true;
  };
  const auto database = co_await c.backend->database.run<bool>(std::move(ask));
  const bool broker = c.broker_connected();
  json::object o;
  const bool ok = database && broker;
  o.emplace("status", ok ? "ok" : "degraded");
  o.emplace("database", database ? "ok" : "unavailable");
  o.emplace("broker", broker ? "ok" : "unavailable");
  co_return json_answer(ok ? 200 : 503, o);
}

io::task<result<http::server_response>> show_metrics(rest_context& c, http::server_request&) {
  CO_TRY(auto text, co_await c.counters.text(*c.backend, c.broker_connected()));
  http::server_response out;
  out.fields = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
  out.body = std::move(text);
  co_return out;
}

}  // namespace

void add_health_routes(http::router& to, rest_context& context) {
  add_route(to, context, "GET", "/healthz", health);
  add_route(to, context, "GET", "/metrics", show_metrics);
}

}  // namespace evp::api
