// Blocks of storages, modules and module instances; those of devices are in rest_devices.cc.
#include "api/block_json.h"
#include "api/errors.h"
#include "api/pages.h"
#include "base/names.h"

namespace evp::api {
namespace {

using backend::block;
using backend::block_kind;

json::object write(const block& b) {
  json::object o;
  o.emplace("kind", as_json(backend::to_string(b.kind)));
  o.emplace("name", as_json(local_name(b.name)));
  if (!b.device.empty()) o.emplace("device", as_json(local_name(b.device)));
  return o;
}

json::object write(const backend::block_view& v) {
  auto o = write(v.what);
  o.emplace("since", as_json(format_rfc3339(v.since)));
  o.emplace("actor", as_json(v.actor));
  return o;
}

/// The device of the query, as the tenant's; empty: none is named.
result<std::string> device_of(const http::server_request& r, const std::map<std::string, std::string>& query) {
  const auto given = query.find("device");
  if (given == query.end()) return std::string();
  auto scoped = scoped_name(caller_of(r).tenant, given->second);
  if (!scoped || given->second.empty()) return fail(errc::not_found, "device", "there is no device of that id");
  return scoped;
}

/// Services have no narrower block than their own.
result<std::map<std::string, std::string>> read_block_query(const http::server_request& r, block_kind kind) {
  if (kind == block_kind::service) return read_query(r, {"drill", "replicas", "vendor"});
  return read_query(r, {"drill", "replicas", "device"});
}

result<std::map<std::string, std::string>> read_unblock_query(const http::server_request& r, block_kind kind) {
  if (kind == block_kind::service) return read_query(r, {});
  return read_query(r, {"device"});
}

template <block_kind kind>
result<block> read_block(const http::server_request& r, const std::map<std::string, std::string>& query) {
  block b;
  b.kind = kind;
  b.name = parameter(r, kind == block_kind::module_file ? "id" : "name");
  TRY(b.device, device_of(r, query));
  return b;
}

template <block_kind kind>
io::task<result<http::server_response>> on(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_block_query(r, kind));
  CO_TRY(const auto how, read_manner(query));
  // It reaches beyond this service and this installation: who may block need not be who answers for that.
  if (how.vendor && !how.drill) CO_CHECK(check_level(caller_of(r), level::administer));
  CO_TRY(const auto b, read_block<kind>(r, query));
  auto by = origin_of(r);
  auto copy = b;
  CO_TRY(const auto report, co_await backend::block_it(*c.backend, std::move(copy), how, std::move(by)));
  auto o = write(b);
  o.emplace("blocked", c.backend->blocks.has(b));
  add_report(o, report, how, caller_of(r));
  co_return json_answer(200, o);
}

template <block_kind kind>
io::task<result<http::server_response>> off(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_unblock_query(r, kind));
  CO_TRY(const auto b, read_block<kind>(r, query));
  auto by = origin_of(r);
  auto copy = b;
  CO_CHECK(co_await backend::unblock_it(*c.backend, std::move(copy), std::move(by)));
  if (kind == block_kind::instance) co_return no_content();
  auto o = write(b);
  o.emplace("blocked", false);
  co_return json_answer(200, o);
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_CHECK(read_query(r, {}));
  co_return json_answer(
      200, write_list("blocks", c.backend->blocks.list(caller_of(r).tenant), [](const auto& v) { return write(v); }));
}

}  // namespace

void add_block_routes(http::router& to, rest_context& context) {
  namespace action = backend::action;
  namespace kind = backend::kind;
  constexpr http::route_options small{.max_body = 1024};
  // Who may stop something in an emergency need not be who decides that it is safe again: storages are an admin's.
  add_route(to, context, level::operate, "POST", "/v1/storage-access-services/{name}/block", on<block_kind::service>,
            small, {action::service_block, kind::service});
  add_route(to, context, level::administer, "POST", "/v1/storage-access-services/{name}/unblock",
            off<block_kind::service>, small, {action::service_unblock, kind::service});
  add_route(to, context, level::operate, "POST", "/v1/modules/{id}/block", on<block_kind::module_file>, small,
            {action::module_block, kind::module_file});
  add_route(to, context, level::operate, "POST", "/v1/modules/{id}/unblock", off<block_kind::module_file>, small,
            {action::module_unblock, kind::module_file});
  add_route(to, context, level::operate, "PUT", "/v1/blocked-instances/{name}", on<block_kind::instance>, small,
            {action::instance_block, kind::instance});
  add_route(to, context, level::operate, "DELETE", "/v1/blocked-instances/{name}", off<block_kind::instance>, small,
            {action::instance_unblock, kind::instance});
  add_route(to, context, level::view, "GET", "/v1/blocks", list);
}

}  // namespace evp::api
