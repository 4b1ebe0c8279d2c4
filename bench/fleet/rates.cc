// Storage tokens a second beside the echo, latencies, memory of live grants, REST reads.
#include <algorithm>
#include <boost/json/array.hpp>
#include <functional>

#include "measurements.h"
#include "rest_load.h"

namespace evp::bench {

namespace {

constexpr std::size_t readers = 32;

struct rate {
  double ours = 0, echo = 0;
  double cpu_us = 0, echo_cpu_us = 0;  ///< of an answer: of the server and its broker
  std::size_t granted = 0, missing = 0;
  double share() const { return ours / echo; }
};

/// Simulated devices and the two processes that serve them.
struct contender {
  fleet* devices;
  pid_t server, broker;
  double cpu() const { return cpu_seconds(server) + cpu_seconds(broker); }
};

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

/// In turn, so that both meet the same neighbours. Where not both can be connected at once: `change` ends ours and
/// connects the echo's.
rate compare(const sizes& s, const contender& us, const contender& peer, const std::function<void()>& change) {
  auto &ours = *us.devices, &echo = *peer.devices;
  std::vector<double> a, b;
  rate out;
  double ours_cpu = 0, echo_cpu = 0;
  std::size_t echoed = 0;
  const auto devices = ours.size();
  const auto ask_ours = [&] {
    const auto cpu = us.cpu();
    const auto r = checked(ours.ask_closed(s.outstanding, s.time), "evp-backend");
    ours_cpu += us.cpu() - cpu;
    out.granted += r.answered - r.refused;
    out.missing += r.asked - r.answered + r.refused;
    a.push_back(r.rate());
  };
  const auto ask_echo = [&] {
    const auto cpu = peer.cpu();
    const auto r = checked(echo.ask_closed(s.outstanding, s.time), "the echo");
    echo_cpu += peer.cpu() - cpu;
    echoed += r.answered;
    b.push_back(r.rate());
  };
  for (int i = 0; i < s.rounds; ++i) {
    ask_ours();
    if (!change) ask_echo();
  }
  if (change) change();
  while (b.size() < a.size()) ask_echo();
  out.ours = median(a);
  out.echo = median(b);
  print_figure(text("%zu devices, %zu requests outstanding", devices, s.outstanding),
               text("%.0f grants/s, echo %.0f/s, %.1f %%", out.ours, out.echo, 100 * out.share()), "50 %",
               out.share() >= 0.5);
  out.cpu_us = 1e6 * ours_cpu / double(out.granted);
  out.echo_cpu_us = 1e6 * echo_cpu / double(echoed);
  print_figure("  CPU of each, with the broker's", text("%.0f us, echo %.0f us", out.cpu_us, out.echo_cpu_us));
  if (out.missing > 0) print_figure("  of them without a grant", std::to_string(out.missing));
  return out;
}

json::object measure_latency(const sizes& s, fleet& ours, fleet& echo, double highest) {
  const auto alone = checked(ours.ask_alone(s.alone), "evp-backend");
  const auto peer = checked(echo.ask_alone(s.alone), "the echo");
  const auto half = checked(ours.ask_open(highest / 2, s.time), "evp-backend");
  const auto peer_half = checked(echo.ask_open(highest / 2, s.time), "the echo");
  print_figure("one device alone, median", text("%.3f ms, echo %.3f ms", alone.quantile(0.5), peer.quantile(0.5)));
  print_figure(text("%zu devices, half of the rate: p50, p99", ours.size()),
               text("%.2f ms, %.2f ms at %.0f/s, echo %.2f ms, %.2f ms", half.quantile(0.5), half.quantile(0.99),
                    half.rate(), peer_half.quantile(0.5), peer_half.quantile(0.99)),
               "p99 10 ms", half.quantile(0.99) <= 10);
  return {{"aloneMedianMs", alone.quantile(0.5)}, {"echoAloneMedianMs", peer.quantile(0.5)},
          {"halfPerSecond", half.rate()},         {"halfP50Ms", half.quantile(0.5)},
          {"halfP99Ms", half.quantile(0.99)},     {"echoHalfP99Ms", peer_half.quantile(0.99)}};
}

json::object grant_memory(const memory& before, const memory& after, std::size_t grants) {
  const double pss = (after.pss - before.pss) / double(grants), rss = (after.rss - before.rss) / double(grants);
  print_figure("memory of a live grant", text("%.0f bytes (RSS %.0f) over %zu grants", pss, rss, grants), "512",
               pss <= 512 && rss <= 512);
  return {{"pssBytes", pss}, {"rssBytes", rss}, {"grants", grants}};
}

json::object measure_reads(const sizes& s, loop& events, backend_world& world, const std::string& device) {
  json::object out;
  const std::pair<const char*, std::string> kinds[] = {
      {"device", "/v1/devices/" + device},
      {"service", std::string("/v1/storage-access-services/") + backend_world::storage}};
  for (const auto& [name, path] : kinds) {
    const auto get = [&path = path](std::size_t) { return rest_request{"GET", path, ""}; };
    rest_many(events, world.rest_port(), world.token(), s.reads / 10 + 1, readers, get, [](auto, auto) {});
    const double cpu = cpu_seconds(world.pid());
    const double seconds =
        rest_many(events, world.rest_port(), world.token(), s.reads, readers, get, [](auto, auto) {});
    const double used = cpu_seconds(world.pid()) - cpu;
    const double per_core = used > 0 ? double(s.reads) / used : 0;  // too few reads to be seen by the clock
    print_figure(text("REST: GET of a %s", name),
                 text("%.0f/s for each core that it uses (%.0f/s)", per_core, double(s.reads) / seconds), "10000/s",
                 per_core >= 10'000);
    out[name] = json::object{{"perCoreSecond", per_core}, {"perSecond", double(s.reads) / seconds}};
  }
  return out;
}

}  // namespace

json::object measure_rates(const sizes& s, const io::fs::path& folder, const io::fs::path& programs) {
  loop events;
  backend_world world(folder / "backend", programs);
  world.start();
  const auto all = world.register_devices(events, s.devices.back());
  fleet ours(events, world.mqtt_port(), s.version, backend_world::storage);
  const auto some = [&](std::size_t from, std::size_t to) {
    return std::vector<identity>(all.begin() + std::ptrdiff_t(from), all.begin() + std::ptrdiff_t(to));
  };
  ours.connect(some(0, s.devices.front()));
  const auto first = checked(ours.ask_closed(s.outstanding, std::chrono::milliseconds(500)), "evp-backend");
  echo_world peer(folder / "echo", programs, all, first.answer_bytes);
  fleet echo(events, peer.mqtt_port(), s.version, backend_world::storage);

  json::object out{{"answerBytes", first.answer_bytes}};
  json::array rates;
  for (const auto n : s.devices) {
    const bool both = 2 * n + spare_files <= s.open_files;
    if (!both) echo.disconnect();
    ours.connect(some(ours.size(), n));
    const auto before = memory_of(world.pid());
    std::function<void()> change;
    if (both)
      echo.connect(some(echo.size(), n));
    else
      change = [&] {
        ours.disconnect();
        echo.connect(some(0, n));
      };
    const contender us{&ours, world.pid(), world.broker_pid()}, them{&echo, peer.pid(), peer.broker_pid()};
    const auto r = compare(s, us, them, change);
    rates.push_back(json::object{{"devices", n},
                                 {"perSecond", r.ours},
                                 {"echoPerSecond", r.echo},
                                 {"share", r.share()},
                                 {"cpuMicros", r.cpu_us},
                                 {"echoCpuMicros", r.echo_cpu_us},
                                 {"missing", r.missing}});
    if (n == s.devices.front()) {
      out["liveGrant"] = grant_memory(before, memory_of(world.pid()), r.granted);
      out["latency"] = measure_latency(s, ours, echo, r.ours);
      out["reads"] = measure_reads(s, events, world, all.front().id);
    }
  }
  out["rates"] = std::move(rates);
  return out;
}

}  // namespace evp::bench
