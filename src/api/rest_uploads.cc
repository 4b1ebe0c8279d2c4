// /v1/uploads: the ledger, one entry for each grant and what became of it.
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"

namespace evp::api {
namespace {

json::object write(const backend::upload& u) {
  json::object o;
  o.emplace("grantId", as_json(u.grant_id));
  o.emplace("device", as_json(u.device));
  o.emplace("instance", as_json(u.instance));
  o.emplace("service", as_json(u.service_name));
  o.emplace("object", as_json(u.object));
  o.emplace("operation", u.is_get ? "get" : "put");
  o.emplace("state", as_json(backend::to_string(u.state)));
  o.emplace("verify", as_json(backend::to_string(u.verify)));
  if (!u.reason.empty()) o.emplace("reason", as_json(u.reason));
  if (u.size_declared) o.emplace("sizeDeclaredBytes", *u.size_declared);
  if (u.size_bytes) o.emplace("sizeBytes", *u.size_bytes);
  if (!u.sha256.empty()) o.emplace("sha256", as_json(u.sha256));
  o.emplace("issuedAt", as_json(format_rfc3339(u.issued_at)));
  o.emplace("expiresAt", as_json(format_rfc3339(u.expires_at)));
  o.emplace("updatedAt", as_json(format_rfc3339(u.updated_at)));
  return o;
}

result<backend::upload_filter> read_filter(const std::map<std::string, std::string>& query) {
  backend::upload_filter out;
  if (const auto v = query.find("device"); v != query.end()) out.device = v->second;
  if (const auto v = query.find("service"); v != query.end()) out.service = v->second;
  if (const auto v = query.find("state"); v != query.end()) {
    TRY(out.state, backend::upload_state_from_string(v->second));
  }
  if (const auto v = query.find("since"); v != query.end()) {
    auto since = parse_rfc3339(v->second);
    if (!since) return fail(std::move(std::move(since).error()).at("since"));
    out.since = *since;
  }
  return out;
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {"device", "service", "state", "since", "limit", "cursor"}));
  CO_TRY(auto filter, read_filter(query));
  CO_TRY(auto request, read_page(query));
  CO_TRY(const auto found, co_await c.backend->ledger.list(std::move(filter), std::move(request)));
  co_return json_answer(200, write_page("uploads", found, [](const auto& u) { return write(u); }));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "grantId");
  CO_TRY(const auto found, co_await c.backend->ledger.get(std::move(id)));
  co_return json_answer(200, write(found));
}

}  // namespace

void add_upload_routes(http::router& to, rest_context& context) {
  add_route(to, context, "GET", "/v1/uploads", list);
  add_route(to, context, "GET", "/v1/uploads/{grantId}", get);
}

}  // namespace evp::api
