// /healthz for load balancers and supervisors, /metrics for Prometheus.
#include <algorithm>

#include "api/errors.h"
#include "api/rest.h"

namespace evp::api {
namespace {

io::task<result<http::server_response>> health(rest_context& c, http::server_request&) {
  std::function<result<bool>(sql::connection&)> ask = [](sql::connection& db) -> result<bool> {
    CHECK(db.query("SELECT 1 AS one"));
    return true;
  };
  auto database = result<bool>(c.backend->ledger.check_reachable().map([] { return true; }));
  if (database) database = co_await c.backend->database.run<bool>(std::move(ask));
  const auto brokers = c.brokers();
  const auto connected =
      std::size_t(std::count_if(brokers.begin(), brokers.end(), [](const auto& b) { return b.ready; }));
  const bool all = !brokers.empty() && connected == brokers.size();
  json::object o;
  o.emplace("status", database && all ? "ok" : "degraded");
  o.emplace("database", database ? "ok" : "unavailable");
  o.emplace("broker", all ? "ok" : connected > 0 ? "degraded" : "unavailable");
  if (brokers.size() > 1) {  // how many, and not where: this is for everybody
    json::object n;
    n.emplace("connected", connected);
    n.emplace("all", brokers.size());
    o.emplace("brokers", std::move(n));
  }
  // One broker away is no reason to send nothing here: the others' devices need it, and other backends lack it too.
  co_return json_answer(database && connected > 0 ? 200 : 503, o);
}

io::task<result<http::server_response>> show_metrics(rest_context& c, http::server_request&) {
  present_state now;
  now.brokers = c.brokers();
  now.revocation_lists = c.revocation_lists();
  now.elder_sessions_ended = c.elder_sessions_ended();
  now.requests_under_way = c.requests_under_way();
  now.credentials = c.credentials();
  now.connections = c.connections();
  CO_TRY(auto text, co_await c.counters.text(*c.backend, now));
  http::server_response out;
  out.fields = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
  out.body = std::move(text);
  co_return out;
}

}  // namespace

void add_health_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::open, "GET", "/healthz", health);
  add_route(to, context, level::view_all, "GET", "/metrics", show_metrics);
}

}  // namespace evp::api
