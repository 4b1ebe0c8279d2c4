// The routes of the backend's HTTP server: REST API, object store, module files, health and metrics.
#pragma once

#include "api/auth.h"
#include "api/metrics.h"
#include "backend/backend.h"
#include "http/server.h"
#include "storage/address.h"

namespace evp::api {

/// What the audit calls a route's change. Its object's name is made of the parameters of the route.
struct audited {
  std::string_view action;  ///< empty: the route changes nothing
  std::string_view kind;
};

/// What the routes work on. All of it outlives the server; confined to its executor.
struct rest_context {
  rest_context(const bearer_auth& a, metrics& m, io::pool& d, const io::clock& k)
      : auth(a), counters(m), disk(d), clock(k) {}

  backend::backend* backend = nullptr;  ///< null while the program starts: every request is answered 503
  const bearer_auth& auth;
  oidc_issuer* issuer = nullptr;           ///< null: only the admin token and API keys are good
  std::map<std::string, level> levels;     ///< what each route asks of its caller, by "<method> <pattern>"
  std::map<std::string, audited> changes;  ///< what each does, for the audit; by the same
  metrics& counters;
  io::pool& disk;  ///< for reading and writing files
  const io::clock& clock;
  std::vector<storage::ip_network> balancers;          ///< who connects from there hides who has connected to it
  std::function<std::vector<broker_state>()> brokers;  ///< for /healthz and /metrics
  std::function<std::vector<revocation_list_state>()> revocation_lists = [] {
    return std::vector<revocation_list_state>();
  };                                                                                                ///< for /metrics
  std::function<std::uint64_t()> elder_sessions_ended = [] { return std::uint64_t(0); };            ///< for /metrics
  std::function<std::size_t()> requests_under_way = [] { return std::size_t(0); };                  ///< for /metrics
  std::function<credential_counts()> credentials = [] { return credential_counts(); };              ///< for /metrics
  std::function<http::connection_counts()> connections = [] { return http::connection_counts(); };  ///< for /metrics
};

/// All routes, behind the bearer token where it belongs. The context is borrowed.
http::router make_router(rest_context& context);

/// A route's work: parse, call, encode. Its error becomes the answer of errors.h, and where the route changes something
/// a record of the audit.
using work = io::task<result<http::server_response>> (*)(rest_context&, http::server_request&);

/// `{id}` and `{name}` of a pattern are names of the caller's tenant: the work finds them scoped (base/names.h), and
/// this is the one place that scopes what stands in a path.
void add_route(http::router& to, rest_context& context, level l, std::string method, std::string pattern, work w,
               http::route_options options = {}, audited change = {});

/// One function per resource, each in the file of its name.
void add_service_routes(http::router& to, rest_context& context);
void add_access_routes(http::router& to, rest_context& context);
void add_device_routes(http::router& to, rest_context& context);
void add_enrolment_routes(http::router& to, rest_context& context);
void add_deployment_routes(http::router& to, rest_context& context);
void add_command_routes(http::router& to, rest_context& context);
void add_block_routes(http::router& to, rest_context& context);
void add_module_routes(http::router& to, rest_context& context);
void add_module_download_routes(http::router& to, rest_context& context);
void add_hook_routes(http::router& to, rest_context& context);
void add_audit_routes(http::router& to, rest_context& context);
void add_upload_routes(http::router& to, rest_context& context);
void add_object_routes(http::router& to, rest_context& context);
void add_policy_routes(http::router& to, rest_context& context);
void add_docs_routes(http::router& to, rest_context& context);
void add_health_routes(http::router& to, rest_context& context);
void add_provider_change_routes(http::router& to, rest_context& context);

/// Who asks; only in routes that are not open.
const caller& caller_of(const http::server_request& r);
/// The same for the audit.
backend::origin origin_of(const http::server_request& r);

/// A parameter of the route's pattern.
const std::string& parameter(const http::server_request& r, std::string_view name);

}  // namespace evp::api
