// /v1/audit: who changed what and who was granted what, in pages, and whole as JSON lines. A tenant sees its own part.
#include <algorithm>

#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "backend/tenant_audit.h"

namespace evp::api {
namespace {

json::object write(const sql::audit_row& row) {
  const auto& r = row.record;
  json::object o;
  o.emplace("number", r.number);
  o.emplace("at", as_json(format_rfc3339(timestamp(milliseconds(r.at)))));
  o.emplace("actor", as_json(r.actor));
  o.emplace("action", as_json(r.action));
  o.emplace("objectKind", as_json(r.object_kind));
  o.emplace("objectName", as_json(r.object_name));
  o.emplace("peer", as_json(r.peer));
  o.emplace("outcome", as_json(r.outcome));
  o.emplace("detail", as_json(r.detail));
  o.emplace("hash", as_json(row.hash));
  return o;
}

/// The tenant whose part the caller sees; nothing: all of it.
std::optional<std::string> part_of(const caller& who) {
  if (who.everywhere && who.tenant.empty()) return std::nullopt;
  return who.tenant;
}

/// Without the hash, by which a tenant could try out what the records of others between its own may hold; and without
/// the address of who is not of the tenant.
json::object write_part(const std::string& tenant, const sql::audit_row& row) {
  auto o = write(row);
  o.erase("hash");
  if (!backend::acts_for(tenant, row.record.actor)) o["peer"] = "";
  return o;
}

result<std::optional<timestamp>> read_time(const std::map<std::string, std::string>& query, const std::string& name) {
  const auto given = query.find(name);
  if (given == query.end()) return std::nullopt;
  auto t = parse_rfc3339(given->second);
  if (!t) return fail(std::move(std::move(t).error()).at(name));
  return *t;
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {"since", "until", "actor", "object", "limit", "cursor"}));
  backend::audit_filter filter;
  CO_TRY(filter.since, read_time(query, "since"));
  CO_TRY(filter.until, read_time(query, "until"));
  if (const auto v = query.find("actor"); v != query.end()) filter.actor = v->second;
  if (const auto v = query.find("object"); v != query.end()) filter.object = v->second;
  CO_TRY(auto request, read_page(query));
  const auto tenant = part_of(caller_of(r));
  if (!tenant) {
    CO_TRY(const auto found, co_await c.backend->audit.list(std::move(filter), std::move(request)));
    co_return json_answer(200, write_page("records", found, write));
  }
  CO_TRY(const auto found,
         co_await backend::list_tenant_audit(c.backend->database, *tenant, std::move(filter), std::move(request)));
  co_return json_answer(
      200, write_page("records", found, [&](const sql::audit_row& row) { return write_part(*tenant, row); }));
}

struct open_export {
  backend::audit* from = nullptr;
  sql::audit_ends ends;
  std::int64_t position = 0;
  bool begun = false, ended = false;
};

std::string end_line(const char* name, std::int64_t number, const std::string& hash) {
  json::object place, line;
  place.emplace("number", number);
  place.emplace("hash", as_json(hash));
  line.emplace(name, std::move(place));
  return json::serialize(line) + "\n";
}

/// Where a piece cannot be read the export ends without its last line, and who verifies it sees that. Records that are
/// not there are not judged here.
io::task<std::optional<std::string>> next_piece(std::shared_ptr<open_export> e) {
  if (!e->begun) {
    e->begun = true;
    co_return end_line("after", e->ends.dropped_number, e->ends.dropped_hash);
  }
  if (e->ended) co_return std::nullopt;
  const auto found = co_await e->from->read_after(e->position);
  if (!found) co_return std::nullopt;
  std::string out;
  for (const auto& row : *found) {
    if (row.record.number > e->ends.number) break;  // written since
    out += json::serialize(write(row)) + "\n";
    e->position = row.record.number;
  }
  if (e->position >= e->ends.number || found->empty() || found->front().record.number > e->ends.number) {
    e->ended = true;
    out += end_line("end", e->ends.number, e->ends.hash);
  }
  co_return out;
}

struct open_part {
  sql::database* from = nullptr;
  std::string tenant;
  std::int64_t position = 0, end = 0;
  bool begun = false, ended = false;
};

std::string part_line(const open_part& p, const char* name, std::int64_t number) {
  json::object line;
  line.emplace("tenant", as_json(p.tenant.empty() ? backend::access::own_tenant : std::string_view(p.tenant)));
  line.emplace(name, number);
  return json::serialize(line) + "\n";
}

io::task<std::optional<std::string>> next_of_part(std::shared_ptr<open_part> p) {
  if (!p->begun) {
    p->begun = true;
    co_return part_line(*p, "after", p->position);
  }
  if (p->ended) co_return std::nullopt;
  const auto found = co_await backend::read_tenant_audit(*p->from, p->tenant, p->position);
  if (!found) co_return std::nullopt;
  std::string out;
  for (const auto& row : found->records)
    if (row.record.number <= p->end) out += json::serialize(write_part(p->tenant, row)) + "\n";
  p->position = found->looked_at;
  if (p->position >= p->end) {
    p->ended = true;
    out += part_line(*p, "end", p->end);
  }
  co_return out;
}

/// Each reads the whole audit through for what is the tenant's: a few at once for each tenant.
constexpr std::size_t max_parts = 2;
result<void> enter(std::vector<std::weak_ptr<open_part>>& open, const std::shared_ptr<open_part>& p) {
  std::erase_if(open, [](const auto& other) { return other.expired(); });
  const auto same = [&](const auto& other) { return other.lock()->tenant == p->tenant; };
  if (std::size_t(std::count_if(open.begin(), open.end(), same)) >= max_parts)
    return fail(error(errc::rate_limited, "two exports of the tenant's audit run already: wait for their end")
                    .after(seconds(5)));
  open.push_back(p);
  return {};
}

http::server_response as_lines(http::stream_body body) {
  http::server_response out;
  out.fields = {{"Content-Type", "application/x-ndjson"}, {"Cache-Control", "no-store"}};
  out.body = std::move(body);
  return out;
}

io::task<result<http::server_response>> write_export(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  CO_TRY(const auto ends, co_await c.backend->audit.ends());
  http::stream_body body;
  if (auto tenant = part_of(caller_of(r))) {
    static std::vector<std::weak_ptr<open_part>> open;  // confined to the executor, as all routes are
    auto p = std::make_shared<open_part>();
    p->from = &c.backend->database;
    p->tenant = std::move(*tenant);
    p->position = ends.dropped_number;
    p->end = ends.number;
    CO_CHECK(enter(open, p));
    body.next = [p] { return next_of_part(p); };
    co_return as_lines(std::move(body));
  }
  auto e = std::make_shared<open_export>();
  e->from = &c.backend->audit;
  e->ends = ends;
  e->position = ends.dropped_number;
  body.next = [e] { return next_piece(e); };
  co_return as_lines(std::move(body));
}

}  // namespace

void add_audit_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::view, "GET", "/v1/audit", list);
  add_route(to, context, level::view, "GET", "/v1/audit/export", write_export);
}

}  // namespace evp::api
