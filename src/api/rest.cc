// Puts the routes together, with authentication, error form and metrics around them.
#include "api/rest.h"

#include <algorithm>

#include "api/errors.h"
#include "base/names.h"

namespace evp::api {
namespace {

const std::string hidden_address = "hidden by the balancer";

/// "cam-1/camera/zoom" for "/v1/devices/{id}/configuration/{instance}/{topic...}".
std::string object_name(const std::string& pattern, const http::server_request& r) {
  std::string out;
  for (auto at = pattern.find('{'); at != pattern.npos; at = pattern.find('{', at + 1)) {
    const auto end = pattern.find_first_of(".}", at);
    out.append(out.empty() ? "" : "/").append(parameter(r, pattern.substr(at + 1, end - at - 1)));
  }
  return out;
}

struct route_of_work {
  std::string pattern;
  audited change;
};

io::task<http::server_response> answer(rest_context& c, std::shared_ptr<const route_of_work> route,
                                       http::server_request& r, io::task<result<http::server_response>> t) {
  auto out = co_await std::move(t);
  if (!out && !route->change.action.empty())
    c.backend->audit.refused(origin_of(r), route->change.action, route->change.kind, object_name(route->pattern, r),
                             out.error().code());
  if (!out) co_return error_answer(out.error());
  co_return std::move(*out);
}

/// Names that the caller gives in the path become those of its tenant.
result<void> scope_parameters(http::server_request& r) {
  for (const auto* which : {"id", "name"}) {
    const auto given = r.parameters.find(which);
    if (given == r.parameters.end()) continue;
    auto scoped = scoped_name(caller_of(r).tenant, given->second);
    if (!scoped) return fail(errc::not_found, "there is nothing of that name");
    given->second = std::move(*scoped);
  }
  return {};
}

/// The audit shall not take a balancer's address for that of who asks.
void hide_balancer(const rest_context& context, http::server_request& head) {
  if (context.balancers.empty()) return;
  const auto address = storage::ip_address::parse(head.remote_address);
  const auto holds = [&](const storage::ip_network& n) { return address && n.contains(*address); };
  if (std::any_of(context.balancers.begin(), context.balancers.end(), holds)) head.remote_address = hidden_address;
}

/// As the audit calls it: keys and people of a tenant are its own things. Who acts in all tenants is nobody's.
std::string actor_of(const caller& who) {
  return who.everywhere || who.tenant.empty() ? who.actor : who.tenant + tenant_separator + who.actor;
}

/// Who asks, and whether it may. What it gives back refuses the request.
std::optional<http::server_response> pass_gate(rest_context& context, http::server_request& head,
                                               const std::string& pattern) {
  hide_balancer(context, head);
  if (!context.backend)
    return error_answer(error(errc::unavailable, "the backend is starting: try again").after(seconds(1)));
  const auto route = (head.method == "HEAD" ? "GET" : head.method) + " " + pattern;
  const auto known = context.levels.find(route);
  const auto wanted = known == context.levels.end() ? level::administer_all : known->second;
  if (wanted == level::open) return std::nullopt;
  auto who = identify(context.auth, context.backend->access, context.issuer, head.fields);
  if (!who) {
    context.backend->audit.refused({std::string(audit_actor::nobody), head.remote_address}, backend::action::login, "",
                                   "", who.error().code());
    return error_answer(who.error());
  }
  if (auto may = check_level(*who, wanted); !may) {
    const auto& change = context.changes[route];
    if (!change.action.empty())
      context.backend->audit.refused({actor_of(*who), head.remote_address}, change.action, change.kind, "",
                                     may.error().code());
    return error_answer(may.error());
  }
  head.caller = std::move(*who);
  if (auto scoped = scope_parameters(head); !scoped) return error_answer(scoped.error());
  return std::nullopt;
}

}  // namespace

const caller& caller_of(const http::server_request& r) { return *std::any_cast<caller>(&r.caller); }

void add_route(http::router& to, rest_context& context, level l, std::string method, std::string pattern, work w,
               http::route_options options, audited change) {
  const auto route = std::make_shared<const route_of_work>(route_of_work{pattern, change});
  const auto run = [&context, w, route](http::server_request& r) { return answer(context, route, r, w(context, r)); };
  context.levels[method + " " + pattern] = l;
  context.changes[method + " " + pattern] = change;
  to.add(std::move(method), std::move(pattern), run, options);
}

backend::origin origin_of(const http::server_request& r) {
  const auto* who = std::any_cast<caller>(&r.caller);
  // The open routes that change something are the devices'.
  return {who ? actor_of(*who) : std::string(audit_actor::enrolment), r.remote_address};
}

const std::string& parameter(const http::server_request& r, std::string_view name) {
  static const std::string none;
  const auto found = r.parameters.find(name);
  return found == r.parameters.end() ? none : found->second;
}

http::router make_router(rest_context& context) {
  http::router out;
  add_service_routes(out, context);
  add_access_routes(out, context);
  add_device_routes(out, context);
  add_enrolment_routes(out, context);
  add_deployment_routes(out, context);
  add_command_routes(out, context);
  add_module_routes(out, context);
  add_module_download_routes(out, context);
  add_hook_routes(out, context);
  add_audit_routes(out, context);
  add_block_routes(out, context);
  add_upload_routes(out, context);
  add_object_routes(out, context);
  add_health_routes(out, context);
  add_policy_routes(out, context);
  add_docs_routes(out, context);
  add_provider_change_routes(out, context);

  out.set_gate(
      [&context](http::server_request& head, const std::string& pattern) { return pass_gate(context, head, pattern); });
  out.set_error_writer([](int status, const error& e) { return error_answer(status, e); });
  out.set_observer([&context](const http::server_request& r, const std::string& pattern, int status,
                              milliseconds took) { context.counters.on_request(r.method, pattern, status, took); });
  return out;
}

}  // namespace evp::api
