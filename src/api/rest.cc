// Puts the routes together, with authentication, error form and metrics around them.
#include "api/rest.h"

#include "api/errors.h"

namespace evp::api {
namespace {

io::task<http::server_response> answer(io::task<result<http::server_response>> t) {
  auto r = co_await std::move(t);
  if (!r) co_return error_answer(r.error());
  co_return std::move(*r);
}

/// Signed URLs carry their permission themselves; a health check must not need a secret.
bool needs_token(std::string_view pattern) { return pattern.starts_with("/v1/") || pattern == "/metrics"; }

}  // namespace

void add_route(http::router& to, rest_context& context, std::string method, std::string pattern, work w,
               http::route_options options) {
  const auto run = [&context, w](http::server_request& r) { return answer(w(context, r)); };
  to.add(std::move(method), std::move(pattern), run, options);
}

const std::string& parameter(const http::server_request& r, std::string_view name) {
  static const std::string none;
  const auto found = r.parameters.find(name);
  return found == r.parameters.end() ? none : found->second;
}

http::router make_router(rest_context& context) {
  http::router out;
  add_service_routes(out, context);
  add_device_routes(out, context);
  add_deployment_routes(out, context);
  add_command_routes(out, context);
  add_module_routes(out, context);
  add_module_download_routes(out, context);
  add_hook_routes(out, context);
  add_upload_routes(out, context);
  add_object_routes(out, context);
  add_health_routes(out, context);

  out.set_gate(
      [&context](const http::server_request& head, const std::string& pattern) -> std::optional<http::server_response> {
        if (!context.backend)
          return error_answer(error(errc::unavailable, "the backend is starting: try again").after(seconds(1)));
        if (!needs_token(pattern)) return std::nullopt;
        auto ok = context.auth.check(head.fields);
        if (ok) return std::nullopt;
        return error_answer(ok.error());
      });
  out.set_error_writer([](int status, const error& e) { return error_answer(status, e); });
  out.set_observer([&context](const http::server_request& r, const std::string& pattern, int status,
                              milliseconds took) { context.counters.on_request(r.method, pattern, status, took); });
  return out;
}

}  // namespace evp::api
