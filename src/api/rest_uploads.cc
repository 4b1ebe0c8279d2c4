// /v1/uploads: the ledger, one entry for each grant and what became of it, as a list and as a stream.
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "api/upload_json.h"
#include "base/names.h"

namespace evp::api {
namespace {

constexpr milliseconds heartbeat{15'000};  // proxies drop connections that are silent for a minute

/// Nothing has such a name, as a filter or otherwise.
result<std::string> scoped(const std::string& tenant, const char* field, const std::string& name) {
  auto out = scoped_name(tenant, name);
  if (!out) return fail(std::move(std::move(out).error()).at(field));
  return out;
}

result<backend::upload_filter> read_filter(const std::map<std::string, std::string>& query, const caller& who) {
  backend::upload_filter out;
  out.tenant = who.tenant;
  if (const auto v = query.find("device"); v != query.end()) {
    TRY(out.device, scoped(who.tenant, "device", v->second));
  }
  if (const auto v = query.find("service"); v != query.end()) {
    TRY(out.service, scoped(who.tenant, "service", v->second));
  }
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
  CO_TRY(auto filter, read_filter(query, caller_of(r)));
  CO_TRY(auto request, read_page(query));
  CO_TRY(const auto found, co_await c.backend->ledger.list(std::move(filter), std::move(request)));
  co_return json_answer(200, write_page("uploads", found, write_upload));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "grantId");
  CO_TRY(const auto found, co_await c.backend->ledger.get(std::move(id)));
  if (tenant_of(found.device) != caller_of(r).tenant)
    co_return fail(errc::not_found, "there is no upload of that grant id");
  co_return json_answer(200, write_upload(found));
}

// Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
std::string write_events(const backend::upload_watch::step& s) {
  std::string out;
  for (const auto& e : s.events)
    out.append("id: ").append(std::to_string(e.sequence)).append("\ndata: ").append(json::serialize(write_event(e))) +=
        "\n\n";
  // A comment keeps connections open, and an id without data is kept by the client all the same: so it comes back with
  // the place up to which its filter let nothing through.
  if (s.events.empty() || s.events.back().sequence != s.position)
    out.append(": nothing else\nid: ").append(std::to_string(s.position)) += "\n\n";
  return out;
}

struct open_stream {
  std::shared_ptr<backend::upload_watch> watch;
  bool begun = false;
};

io::task<std::optional<std::string>> next_piece(std::shared_ptr<open_stream> s) {
  if (!s->begun) {
    s->begun = true;
    std::string first;
    if (s->watch->has_gap()) first = "event: gap\ndata: {\"after\":" + std::to_string(s->watch->position()) + "}\n\n";
    co_return first + ": open\nid: " + std::to_string(s->watch->position()) + "\n\n";
  }
  const auto found = co_await s->watch->next();
  if (!found || !*found) co_return std::nullopt;
  co_return write_events(**found);
}

io::task<result<http::server_response>> stream(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {"device", "service", "state", "since"}));
  CO_TRY(auto filter, read_filter(query, caller_of(r)));
  std::optional<std::uint64_t> after;
  if (const auto id = http::find(r.fields, "Last-Event-ID"); !id.empty()) {
    const auto number = wire::parse_decimal(id);
    if (!number) co_return fail(errc::invalid_argument, "Last-Event-ID", "Last-Event-ID must be the id of an event");
    after = *number;
  }
  auto& b = *c.backend;
  CO_TRY(auto watch, co_await backend::upload_watch::open(b.ledger, b.watches, std::move(filter), after, heartbeat));
  auto s = std::make_shared<open_stream>();
  s->watch = std::move(watch);
  http::stream_body body;
  body.next = [s] { return next_piece(s); };
  http::server_response out;
  out.fields = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}};
  out.body = std::move(body);
  co_return out;
}

}  // namespace

void add_upload_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::view, "GET", "/v1/uploads", list);
  add_route(to, context, level::view, "GET", "/v1/uploads/events", stream);
  add_route(to, context, level::view, "GET", "/v1/uploads/{grantId}", get);
}

}  // namespace evp::api
