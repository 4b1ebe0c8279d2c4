// Counters and gauges by prometheus-cpp (core).
#include "api/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "backend/revocations.h"

namespace evp::api {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

const prometheus::Histogram::BucketBoundaries seconds_buckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                              0.1,    0.25,  0.5,    1,     2.5,  5};

struct sample {
  std::string_view label;
  double value;
};

MetricFamily family(std::string name, std::string help, MetricType type, std::string_view label,
                    std::initializer_list<sample> samples) {
  MetricFamily out;
  out.name = std::move(name);
  out.help = std::move(help);
  out.type = type;
  for (const auto& s : samples) {
    ClientMetric m;
    if (!label.empty()) m.label.push_back({std::string(label), std::string(s.label)});
    if (type == MetricType::Counter)
      m.counter.value = s.value;
    else
      m.gauge.value = s.value;
    out.metric.push_back(std::move(m));
  }
  return out;
}

std::string_view known_method(std::string_view method) {
  for (const std::string_view m : {"GET", "HEAD", "POST", "PUT", "DELETE"})
    if (m == method) return m;
  return "other";
}

std::string class_of(int status) { return std::to_string(status / 100) + "xx"; }

/// Brokers that the operator has named have their names as label: there are few.
void add_brokers(std::vector<MetricFamily>& out, const present_state& now) {
  MetricFamily connected;
  connected.name = "evp_broker_connected";
  connected.help = "1 while the backend has a session at the broker";
  connected.type = MetricType::Gauge;
  for (const auto& b : now.brokers) {
    ClientMetric m;
    if (!b.name.empty()) m.label.push_back({"broker", b.name});
    m.gauge.value = b.ready ? 1 : 0;
    connected.metric.push_back(std::move(m));
  }
  out.push_back(std::move(connected));
  out.push_back(family("evp_elder_sessions_ended_total", "Sessions ended since their devices came to another broker",
                       MetricType::Counter, "", {{"", double(now.elder_sessions_ended)}}));
}

/// Lists that the operator has named have their number as label: there are few.
void add_revocations(std::vector<MetricFamily>& out, const backend::backend& b, const present_state& now) {
  out.push_back(family("evp_revoked_certificates", "Certificates that are refused", MetricType::Gauge, "",
                       {{"", double(b.revocations.count())}}));
  auto good = family("evp_revocation_list_good", "1 while what the file has is in force and not overdue",
                     MetricType::Gauge, "", {});
  auto entries = family("evp_revocation_list_entries", "Certificates on the list", MetricType::Gauge, "", {});
  for (const auto& list : now.revocation_lists) {
    ClientMetric m;
    m.label.push_back({"list", std::to_string(list.number)});
    m.gauge.value = list.good ? 1 : 0;
    good.metric.push_back(m);
    m.gauge.value = double(list.entries);
    entries.metric.push_back(std::move(m));
  }
  out.push_back(std::move(good));
  out.push_back(std::move(entries));
}

void add_connections(std::vector<MetricFamily>& out, const http::connection_counts& c) {
  out.push_back(
      family("evp_http_connections", "Connections of HTTP clients", MetricType::Gauge, "", {{"", double(c.open)}}));
  out.push_back(family("evp_http_connections_ended_total",
                       "Connections ended for what their clients did or left undone", MetricType::Counter, "reason",
                       {{"handshake", double(c.handshake)},
                        {"slow_head", double(c.slow_head)},
                        {"slow_body", double(c.slow_body)},
                        {"large_head", double(c.large_head)},
                        {"malformed", double(c.malformed)},
                        {"displaced", double(c.displaced)}}));
}

/// What waits, and what the database, the cache of credentials and the audit's gathering of refusals did.
void add_queues(std::vector<MetricFamily>& out, const backend::backend& b, const present_state& now) {
  const auto one = [&](std::string name, std::string help, MetricType type, double value) {
    out.push_back(family(std::move(name), std::move(help), type, "", {{"", value}}));
  };
  const auto counter = MetricType::Counter, gauge = MetricType::Gauge;
  one("evp_device_requests_under_way", "Requests of devices that are being worked on", gauge,
      double(now.requests_under_way));
  one("evp_commands_pending", "Direct commands without an answer yet", gauge, double(b.commands.pending()));
  const auto db = b.database.count();
  one("evp_database_waiting", "Closures that wait for the database's thread", gauge, double(db.waiting));
  one("evp_database_commits_total", "Transactions committed", counter, double(db.commits));
  one("evp_database_closures_total", "Closures that committed transactions held", counter, double(db.closures));
  one("evp_database_failures_total", "Transactions that failed whole", counter, double(db.failed));
  one("evp_database_busy_seconds_total", "Time that the database's thread spent in transactions", counter,
      db.busy_seconds);
  out.push_back(family("evp_credentials_total", "Storage credentials: given from the cache, fetched, not fetched",
                       counter, "event",
                       {{"hit", double(now.credentials.hits)},
                        {"refresh", double(now.credentials.refreshes)},
                        {"failure", double(now.credentials.failures)}}));
  const auto refusals = b.audit.count();
  one("evp_audit_refusals_total", "Refusals that the audit was told of", counter, double(refusals.refusals));
  one("evp_audit_refusal_records_total", "Records that were written for them", counter, double(refusals.records));
  one("evp_audit_refusals_gathered", "Kinds of refusals that the audit counts at present", gauge,
      double(refusals.gathered));
}

void add_provider_changes(std::vector<MetricFamily>& out, const backend::provider_changes::totals& t) {
  auto changes = family("evp_provider_changes", "Changes of provider by state", MetricType::Gauge, "", {});
  for (const auto& [state, number] : t.by_state) {
    auto& m = changes.metric.emplace_back();
    std::string label = state;
    std::replace(label.begin(), label.end(), ' ', '_');
    m.label.push_back({"state", std::move(label)});
    m.gauge.value = double(number);
  }
  out.push_back(std::move(changes));
  auto uploads = family("evp_provider_change_uploads", "Uploads under the changes of provider that run",
                        MetricType::Gauge, "", {});
  const auto add = [&](const char* side, const char* outcome, std::int64_t number) {
    auto& m = uploads.metric.emplace_back();
    m.label = {{"side", side}, {"outcome", outcome}};
    m.gauge.value = double(number);
  };
  for (const auto& [side, n] : {std::pair{"old", t.from}, {"new", t.to}}) {
    add(side, "granted", n.granted);
    add(side, "not_granted", n.refused);
    add(side, "verified", n.verified);
    add(side, "uploaded", n.uploaded);
    add(side, "failed", n.failed);
    add(side, "expired", n.expired);
  }
  out.push_back(std::move(uploads));
  out.push_back(family("evp_provider_fall_backs_total", "Changes of provider that this backend let fall back",
                       MetricType::Counter, "", {{"", double(t.fell_back)}}));
}

}  // namespace

struct metrics::state {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter().Name("evp_http_requests_total").Help("Answered HTTP requests").Register(registry);
  prometheus::Family<prometheus::Histogram>& took =
      prometheus::BuildHistogram().Name("evp_http_request_seconds").Help("Time to answer").Register(registry);
  prometheus::Family<prometheus::Counter>& refused = prometheus::BuildCounter()
                                                         .Name("evp_device_messages_refused_total")
                                                         .Help("Messages of devices that could not be used")
                                                         .Register(registry);
  prometheus::Family<prometheus::Counter>& grants = prometheus::BuildCounter()
                                                        .Name("evp_grants_total")
                                                        .Help("Requests for grants by outcome and type of storage")
                                                        .Register(registry);
  prometheus::Histogram& grant_took = prometheus::BuildHistogram()
                                          .Name("evp_grant_seconds")
                                          .Help("Time from a device's request to its grant or refusal")
                                          .Register(registry)
                                          .Add({}, seconds_buckets);
  prometheus::Histogram& report_took = prometheus::BuildHistogram()
                                           .Name("evp_report_seconds")
                                           .Help("Time from a device's report to its answer")
                                           .Register(registry)
                                           .Add({}, seconds_buckets);
};

// A counter that is there from the start has a first increase that a rate can see.
metrics::metrics() : state_(std::make_unique<state>()) {
  for (const char* outcome : {"issued", "repeated", "refused", "rate_limited", "failed"})
    state_->grants.Add({{"outcome", std::string(outcome)}, {"type", "none"}});
  for (const char* reason : {"decode", "unknown_topic", "overload", "not_active"})
    state_->refused.Add({{"reason", std::string(reason)}});
}
metrics::~metrics() = default;

void metrics::on_request(std::string_view method, std::string_view pattern, int status, milliseconds took) {
  const std::string route(pattern.empty() ? "none" : pattern), verb(known_method(method));
  state_->requests.Add({{"method", verb}, {"route", route}, {"status", class_of(status)}}).Increment();
  state_->took.Add({{"route", route}}, seconds_buckets).Observe(double(took.count()) / 1000);
}

void metrics::on_grant(const backend::grants::answered& a) {
  state_->grants.Add({{"outcome", std::string(a.outcome)}, {"type", std::string(a.type)}}).Increment();
  state_->grant_took.Observe(a.seconds);
}

void metrics::on_report(const backend::grants::answered& a) { state_->report_took.Observe(a.seconds); }

void metrics::on_refused_message(std::string_view reason) {
  state_->refused.Add({{"reason", std::string(reason)}}).Increment();
}

io::task<result<std::string>> metrics::text(backend::backend& b, present_state now) {
  CO_TRY(const auto rows, co_await b.ledger.count());
  CO_TRY(const auto audited, co_await b.audit.ends());
  CO_TRY(const auto hooks, co_await b.hooks.count());
  auto families = state_->registry.Collect();
  const auto& g = b.grants.count();
  families.push_back(family("evp_reports_total", "Transfer reports by outcome", MetricType::Counter, "outcome",
                            {{"verified", double(g.verified)},
                             {"mismatched", double(g.mismatched)},
                             {"unverifiable", double(g.unverifiable)}}));
  MetricFamily by_policy = family("evp_policy_refusals_total", "Requests for grants refused by a policy, by its field",
                                  MetricType::Counter, "", {});
  for (const auto name : backend::policy_field::all) {
    const auto found = b.policies.refusals().find(name);
    ClientMetric m;
    m.label.push_back({"field", std::string(name)});
    m.counter.value = found == b.policies.refusals().end() ? 0 : double(found->second);
    by_policy.metric.push_back(std::move(m));
  }
  families.push_back(std::move(by_policy));
  MetricFamily ledger = family("evp_ledger_rows", "Rows of the upload ledger by state", MetricType::Gauge, "", {});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ClientMetric m;
    m.label.push_back({"state", std::string(backend::to_string(static_cast<backend::upload_state>(i)))});
    m.gauge.value = double(rows[i]);
    ledger.metric.push_back(std::move(m));
  }
  families.push_back(std::move(ledger));
  const auto devices = b.devices.count();
  families.push_back(
      family("evp_devices", "Devices by admission", MetricType::Gauge, "admission",
             {{"allowed", double(devices.devices - devices.blocked)}, {"blocked", double(devices.blocked)}}));
  families.push_back(family("evp_devices_connected", "Devices with a session at the broker", MetricType::Gauge, "",
                            {{"", double(b.states.online_count())}}));
  families.push_back(family("evp_states_dropped_total", "States of devices beyond a bound", MetricType::Counter, "",
                            {{"", double(b.states.dropped())}}));
  add_brokers(families, now);
  add_revocations(families, b, now);
  add_connections(families, now.connections);
  add_queues(families, b, now);
  families.push_back(family("evp_audit_records_total", "Records that the audit ever had", MetricType::Counter, "",
                            {{"", double(audited.number)}}));
  families.push_back(family("evp_audit_records_kept", "Records of the audit that retention has not dropped",
                            MetricType::Gauge, "", {{"", double(audited.number - audited.dropped_number)}}));
  families.push_back(family("evp_hook_deliveries_pending", "Deliveries to hooks that are still to be made",
                            MetricType::Gauge, "", {{"", double(hooks.pending)}}));
  families.push_back(family("evp_hook_deliveries_total", "Deliveries of the present hooks by outcome",
                            MetricType::Counter, "outcome",
                            {{"delivered", double(hooks.delivered)}, {"given_up", double(hooks.given_up)}}));
  CO_TRY(const auto changes, co_await b.provider_changes.count());
  add_provider_changes(families, changes);
  const prometheus::TextSerializer serializer;
  co_return serializer.Serialize(families);
}

}  // namespace evp::api
