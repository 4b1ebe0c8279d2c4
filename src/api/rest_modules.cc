// /v1/modules: module files, uploaded as they are.
#include <vector>

#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"

namespace evp::api {
namespace {

json::object write(const backend::module_view& m) {
  json::object o;
  o.emplace("id", as_json(m.id));
  o.emplace("sizeBytes", m.size_bytes);
  o.emplace("sha256", as_json(m.sha256));
  o.emplace("createdAt", as_json(format_rfc3339(m.created_at)));
  return o;
}

io::task<result<http::server_response>> upload(rest_context& c, http::server_request& r) {
  CO_TRY(auto file, c.backend->modules.begin(parameter(r, "id")));
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    CO_TRY(const auto n, co_await r.stream->read(buffer));
    if (n == 0) break;
    std::string piece(buffer.data(), n);
    CO_CHECK(co_await file->write(std::move(piece)));
  }
  CO_TRY(const auto made, co_await file->finish());
  auto out = json_answer(201, write(made));
  out.fields.push_back({"Location", resource_path("modules", made.id)});
  co_return out;
}

io::task<result<http::server_response>> list(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  co_return json_answer(200, write_list("modules", c.backend->modules.list(), [](const auto& m) { return write(m); }));
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  CO_TRY(const auto found, c.backend->modules.get(parameter(r, "id")));
  co_return json_answer(200, write(found));
}

io::task<result<http::server_response>> remove(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  CO_CHECK(co_await c.backend->modules.remove(std::move(id)));
  co_return no_content();
}

}  // namespace

void add_module_routes(http::router& to, rest_context& context) {
  add_route(to, context, "PUT", "/v1/modules/{id}", upload,
            {.max_body = backend::modules::max_module_bytes, .streams = true});
  add_route(to, context, "GET", "/v1/modules", list);
  add_route(to, context, "GET", "/v1/modules/{id}", get);
  add_route(to, context, "DELETE", "/v1/modules/{id}", remove);
}

}  // namespace evp::api
