// /v1/modules: module files, uploaded as they are.
#include <vector>

#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "base/names.h"

namespace evp::api {
namespace {

json::object write(const rest_context& c, const backend::module_view& m) {
  json::object o;
  o.emplace("id", as_json(local_name(m.id)));
  o.emplace("sizeBytes", m.size_bytes);
  o.emplace("sha256", as_json(m.sha256));
  o.emplace("createdAt", as_json(format_rfc3339(m.created_at)));
  o.emplace("blocked", c.backend->blocks.has({backend::block_kind::module_file, m.id, ""}));
  return o;
}

io::task<result<http::server_response>> upload(rest_context& c, http::server_request& r) {
  CO_TRY(auto file, c.backend->modules.begin(parameter(r, "id"), origin_of(r)));
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    CO_TRY(const auto n, co_await r.stream->read(buffer));
    if (n == 0) break;
    std::string piece(buffer.data(), n);
    CO_CHECK(co_await file->write(std::move(piece)));
  }
  CO_TRY(const auto made, co_await file->finish());
  auto out = json_answer(201, write(c, made));
  out.fields.push_back({"Location", resource_path("modules", local_name(made.id))});
  co_return out;
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  co_return json_answer(200, write_list("modules", c.backend->modules.list(caller_of(r).tenant),
                                        [&c](const auto& m) { return write(c, m); }));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  CO_TRY(const auto found, c.backend->modules.get(parameter(r, "id")));
  co_return json_answer(200, write(c, found));
}

io::task<result<http::server_response>> remove(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->modules.remove(std::move(id), std::move(by)));
  co_return no_content();
}

}  // namespace

void add_module_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::operate, "PUT", "/v1/modules/{id}", upload,
            {.max_body = backend::modules::max_module_bytes, .streams = true},
            {backend::action::module_upload, backend::kind::module_file});
  add_route(to, context, level::view, "GET", "/v1/modules", list);
  add_route(to, context, level::view, "GET", "/v1/modules/{id}", get);
  add_route(to, context, level::operate, "DELETE", "/v1/modules/{id}", remove, {},
            {backend::action::module_remove, backend::kind::module_file});
}

}  // namespace evp::api
