// The routes of the backend's HTTP server: REST API, object store, module files, health and metrics.
#pragma once

#include "api/auth.h"
#include "api/metrics.h"
#include "backend/backend.h"
#include "http/server.h"

namespace evp::api {

/// What the routes work on. All of it outlives the server; confined to its executor.
struct rest_context {
  rest_context(const bearer_auth& a, metrics& m, io::pool& d, const io::clock& k)
      : auth(a), counters(m), disk(d), clock(k) {}

  backend::backend* backend = nullptr;  ///< null while the program starts: every request is answered 503
  const bearer_auth& auth;
  metrics& counters;
  io::pool& disk;  ///< for reading and writing files
  const io::clock& clock;
  std::function<bool()> broker_connected;  ///< for /healthz
};

/// All routes, behind the bearer token where it belongs. The context is borrowed.
http::router make_router(rest_context& context);

/// A route's work: parse, call, encode. Its error becomes the answer of errors.h.
using work = io::task<result<http::server_response>> (*)(rest_context&, http::server_request&);
void add_route(http::router& to, rest_context& context, std::string method, std::string pattern, work w,
               http::route_options options = {});

/// One function per resource, each in the file of its name.
void add_service_routes(http::router& to, rest_context& context);
void add_device_routes(http::router& to, rest_context& context);
void add_deployment_routes(http::router& to, rest_context& context);
void add_command_routes(http::router& to, rest_context& context);
void add_module_routes(http::router& to, rest_context& context);
void add_module_download_routes(http::router& to, rest_context& context);
void add_hook_routes(http::router& to, rest_context& context);
void add_upload_routes(http::router& to, rest_context& context);
void add_object_routes(http::router& to, rest_context& context);
void add_health_routes(http::router& to, rest_context& context);

/// A parameter of the route's pattern.
const std::string& parameter(const http::server_request& r, std::string_view name);

}  // namespace evp::api
