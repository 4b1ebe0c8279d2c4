// Start, memory and latency of a backend that knows few devices, and of one that knows very many.
#include <boost/json/object.hpp>

#include "measurements.h"

namespace evp::bench {

namespace {

struct state {
  double start_seconds = 0, alone_ms = 0;
  memory backend, broker;
};

/// Started anew, so that nothing is there but what a start needs; then one device of those registered asks.
state look(const sizes& s, backend_world& world, const identity& who) {
  state out;
  out.start_seconds = world.start();
  out.backend = memory_of(world.pid());
  out.broker = memory_of(world.broker_pid());
  loop events;
  fleet one(events, world.mqtt_port(), s.version, backend_world::storage);
  one.connect({who});
  checked(one.ask_alone(s.alone / 10 + 1), "evp-backend");
  out.alone_ms = checked(one.ask_alone(s.alone), "evp-backend").quantile(0.5);
  return out;
}

}  // namespace

json::object measure_registry(const sizes& s, const io::fs::path& folder, const io::fs::path& programs) {
  backend_world world(folder / "registry", programs);
  world.start();  // makes the database
  world.stop();
  const auto few = make_identities(0, s.few_registered);
  world.insert_devices(few);
  const auto small = look(s, world, few.back());
  world.stop();
  const auto added = s.registered - s.few_registered;
  world.insert_devices(make_identities(s.few_registered, added));
  const auto large = look(s, world, few.back());

  const double pss = (large.backend.pss - small.backend.pss) / double(added);
  const double rss = (large.backend.rss - small.backend.rss) / double(added);
  const double broker = (large.broker.pss - small.broker.pss) / double(added);
  const double apart = large.alone_ms / small.alone_ms;
  print_figure(text("start with %zu devices", s.registered),
               text("%.2f s; with %zu: %.2f s", large.start_seconds, s.few_registered, small.start_seconds), "10 s",
               large.start_seconds <= 10);
  print_figure("memory of a known device", text("%.0f bytes (RSS %.0f), and %.0f in the broker", pss, rss, broker),
               "2048", pss <= 2048 && rss <= 2048);
  print_figure(text("one device alone among %zu, median", s.registered),
               text("%.3f ms; among %zu: %.3f ms, %.2f x", large.alone_ms, s.few_registered, small.alone_ms, apart),
               "1.2 x", apart <= 1.2);
  return {{"devices", s.registered},
          {"startSeconds", large.start_seconds},
          {"fewStartSeconds", small.start_seconds},
          {"knownDeviceBytes", pss},
          {"knownDeviceRssBytes", rss},
          {"brokerDeviceBytes", broker},
          {"aloneMedianMs", large.alone_ms},
          {"fewAloneMedianMs", small.alone_ms}};
}

}  // namespace evp::bench
