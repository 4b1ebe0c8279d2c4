// Counters and gauges by prometheus-cpp (core).
#include "api/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <sstream>

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
  prometheus::Histogram& grants = prometheus::BuildHistogram()
                                      .Name("evp_grant_seconds")
                                      .Help("Time from a device's request to its grant or refusal")
                                      .Register(registry)
                                      .Add({}, seconds_buckets);
};

metrics::metrics() : state_(std::make_unique<state>()) {}
metrics::~metrics() = default;

void metrics::on_request(std::string_view method, std::string_view pattern, int status, milliseconds took) {
  const std::string route(pattern.empty() ? "none" : pattern), verb(known_method(method));
  state_->requests.Add({{"method", verb}, {"route", route}, {"status", class_of(status)}}).Increment();
  state_->took.Add({{"route", route}}, seconds_buckets).Observe(double(took.count()) / 1000);
}

void metrics::on_grant(double seconds) { state_->grants.Observe(seconds); }

void metrics::on_refused_message(std::string_view reason) {
  state_->refused.Add({{"reason", std::string(reason)}}).Increment();
}

io::task<result<std::string>> metrics::text(backend::backend& b, bool broker_connected) {
  CO_TRY(const auto rows, co_await b.ledger.count());
  CO_TRY(const auto hooks, co_await b.hooks.list());
  auto families = state_->registry.Collect();
  const auto& g = b.grants.count();
  families.push_back(family("evp_grants_total", "Storage token requests by outcome", MetricType::Counter, "outcome",
                            {{"issued", double(g.issued)},
                             {"repeated", double(g.repeated)},
                             {"refused", double(g.refused)},
                             {"rate_limited", double(g.rate_limited)},
                             {"failed", double(g.failed)}}));
  families.push_back(family("evp_reports_total", "Transfer reports by outcome", MetricType::Counter, "outcome",
                            {{"verified", double(g.verified)},
                             {"mismatched", double(g.mismatched)},
                             {"unverifiable", double(g.unverifiable)}}));
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
  families.push_back(family("evp_broker_connected", "1 while the backend has a session at the broker",
                            MetricType::Gauge, "", {{"", broker_connected ? 1.0 : 0.0}}));
  std::uint64_t pending = 0, delivered = 0, given_up = 0;
  for (const auto& h : hooks) pending += h.pending, delivered += h.delivered, given_up += h.given_up;
  families.push_back(family("evp_hook_deliveries_pending", "Deliveries to hooks that are still to be made",
                            MetricType::Gauge, "", {{"", double(pending)}}));
  families.push_back(family("evp_hook_deliveries_total", "Deliveries of the present hooks by outcome",
                            MetricType::Counter, "outcome",
                            {{"delivered", double(delivered)}, {"given_up", double(given_up)}}));
  const prometheus::TextSerializer serializer;
  co_return serializer.Serialize(families);
}

}  // namespace evp::api
