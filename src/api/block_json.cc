#include "api/block_json.h"

#include "api/errors.h"

namespace evp::api {
namespace {

json::object write(const backend::replica_answer& a, const caller& who) {
  json::object o;
  o.emplace("id", as_json(a.id));
  if (who.everywhere) o.emplace("host", as_json(a.host));
  o.emplace("self", a.is_this);
  o.emplace("answered", a.within.has_value());
  if (a.within) o.emplace("withinMillis", a.within->count());
  o.emplace("seenAt", as_json(format_rfc3339(a.seen_at)));
  if (!a.broker) return o;
  o.emplace("online", a.online);
  o.emplace("brokerMillis", a.broker->count());
  if (!a.broker_error.empty()) o.emplace("brokerError", as_json(a.broker_error));
  return o;
}

json::object write(const backend::lever_report& r) {
  json::object o;
  o.emplace("pulled", r.pulled);
  if (r.lever) {
    o.emplace("lever", as_json(r.lever->name));
    o.emplace("reach", as_json(r.lever->reach));
    if (r.lever->takes > milliseconds(0)) o.emplace("takesSeconds", std::chrono::ceil<seconds>(r.lever->takes).count());
    o.emplace("source", as_json(r.lever->source));
  }
  if (r.failure) o.emplace("error", error_object(*r.failure));
  return o;
}

result<bool> read_flag(const std::map<std::string, std::string>& query, const std::string& name) {
  const auto given = query.find(name);
  if (given == query.end() || given->second == "false") return false;
  if (given->second != "true") return fail(errc::invalid_argument, name, name + " must be true or false");
  return true;
}

}  // namespace

result<backend::block_manner> read_manner(const std::map<std::string, std::string>& query) {
  backend::block_manner out;
  TRY(out.drill, read_flag(query, "drill"));
  TRY(out.replicas, read_flag(query, "replicas"));
  TRY(out.vendor, read_flag(query, "vendor"));
  return out;
}

json::object write_live_grants(const backend::live_grants& g) {
  json::object o;
  o.emplace("count", g.count);
  o.emplace("offline", g.offline);
  if (g.last_expires_at) o.emplace("lastExpiresAt", as_json(format_rfc3339(*g.last_expires_at)));
  return o;
}

void add_report(json::object& to, const backend::block_report& report, backend::block_manner how, const caller& who) {
  to.emplace("liveGrants", write_live_grants(report.grants));
  if (how.drill) to.emplace("drill", true);
  if (report.vendor.lever || how.vendor) to.emplace("vendor", write(report.vendor));
  if (report.replicas.empty()) return;
  json::array replicas;
  for (const auto& one : report.replicas) replicas.emplace_back(write(one, who));
  to.emplace("replicas", std::move(replicas));
}

}  // namespace evp::api
