// evp-fleet-several: simulated devices at a balancer before several brokers: requests, and all of them coming back at
// once.
//
// several.py beside it starts what it measures, and passes devices that are registered already.
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "measurements.h"
#include "programs.h"

namespace evp::bench {
namespace {

constexpr const char* usage =
    "Usage: evp-fleet-several <port,port,..> <devices file> <requests outstanding> <seconds of a measurement>\n"
    "Lines of the file: id and token. One in a hundred of the devices stays when the others go. Ends with a line of "
    "JSON.\n";
constexpr double bystander_rate = 100;  // requests a second while the others return
constexpr std::size_t alone = 500;

[[noreturn]] void wrong_usage() {
  std::fputs(usage, stderr);
  std::exit(2);
}

std::size_t number(const char* text, std::size_t least, std::size_t most) {
  char* end = nullptr;
  const auto n = std::strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || n < least || n > most) wrong_usage();
  return n;
}

std::vector<identity> read_devices(const char* file) {
  std::vector<identity> out;
  std::ifstream in(file);
  for (identity one; in >> one.id >> one.token;) out.push_back(one);
  if (out.size() < 100) give_up(std::string(file) + " names fewer than 100 devices");
  return out;
}

/// Calls back so many times a second, from within the loop.
class ticker {
 public:
  ticker(loop& l, double per_second, std::function<void()> tick)
      : fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) {
    const auto ns = long(1e9 / per_second);
    const itimerspec every{{0, ns}, {0, ns}};
    if (!fd_ || ::timerfd_settime(fd_.get(), 0, &every, nullptr) != 0) give_up("timerfd");
    l.watch(fd_.get(), [this, tick = std::move(tick)] {
      std::uint64_t times = 0;
      if (::read(fd_.get(), &times, sizeof times) != sizeof times) return;
      for (; on && times > 0; --times) tick();
    });
  }
  bool on = false;

 private:
  io::unique_fd fd_;
};

json::object describe(const load_report& r) {
  return {{"asked", r.asked},        {"answered", r.answered},    {"refused", r.refused},
          {"per_second", r.rate()},  {"p50_ms", r.quantile(0.5)}, {"p99_ms", r.quantile(0.99)},
          {"max_ms", r.quantile(1)}, {"seconds", r.seconds}};
}

void print(const char* what, const load_report& r) {
  print_figure(
      what, text("%.0f/s, p50 %.1f ms, p99 %.1f ms, max %.1f ms; %zu asked, %zu without an answer, %zu refused",
                 r.rate(), r.quantile(0.5), r.quantile(0.99), r.quantile(1), r.asked, r.asked - r.answered, r.refused));
}

int run(const std::vector<std::uint16_t>& ports, const char* file, std::size_t outstanding,
        std::chrono::milliseconds time) {
  auto all = read_devices(file);
  const rlimit files{all.size() + spare_files, all.size() + spare_files};
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0) give_up("the limit of open files is too low: run as root");
  const std::vector<identity> stay(all.end() - long(all.size() / 100), all.end());
  all.resize(all.size() - stay.size());

  using clock = std::chrono::steady_clock;
  const auto since = [](clock::time_point t) { return std::chrono::duration<double>(clock::now() - t).count(); };
  loop events;
  fleet moving(events, ports[0], mqtt_version::v311, "fleet"), staying(events, ports[0], mqtt_version::v311, "fleet");
  for (std::size_t i = 1; i < ports.size(); ++i) {
    moving.also_at(ports[i]);
    staying.also_at(ports[i]);
  }
  json::object report{{"devices", all.size() + stay.size()}, {"outstanding", outstanding}};
  auto began = clock::now();
  staying.connect(stay);
  moving.connect(all);
  print_figure("connected, 50 at a time", text("%zu in %.1f s", all.size() + stay.size(), since(began)));

  const auto closed = moving.ask_closed(outstanding, time);
  print(text("grants, %zu outstanding", outstanding).c_str(), closed);
  report["closed"] = describe(closed);
  const auto half = moving.ask_open(closed.rate() / 2, time);
  print("grants at half of that rate", half);
  report["half"] = describe(half);
  const auto one = moving.ask_alone(alone);
  print("one request at a time", one);
  report["alone"] = describe(one);

  ticker quiet(events, bystander_rate, [&] { staying.ask_one(); });
  quiet.on = true;
  events.run_until([] { return false; }, time);
  quiet.on = false;
  const auto before = staying.take();
  print("those who stay, before", before);
  report["before"] = describe(before);
  moving.disconnect();
  quiet.on = true;
  began = clock::now();
  double halfway = 0;
  moving.connect(all, all.size(), [&] { halfway = since(began); });
  const auto back = since(began);
  quiet.on = false;
  const auto during = staying.take();
  print_figure("all others come back at once",
               text("half served after %.1f s, all %zu after %.1f s", halfway, all.size(), back));
  print("those who stay, meanwhile", during);
  report["storm"] = json::object{{"half_s", halfway}, {"all_s", back}, {"stay", describe(during)}};
  std::printf("%s\n", json::serialize(report).c_str());
  return 0;
}

}  // namespace
}  // namespace evp::bench

int main(int argc, char** argv) {
  using namespace evp::bench;
  if (argc != 5) wrong_usage();
  std::vector<std::uint16_t> ports;
  std::istringstream all(argv[1]);
  for (std::string one; std::getline(all, one, ',');) ports.push_back(std::uint16_t(number(one.c_str(), 1, 65'535)));
  if (ports.empty()) wrong_usage();
  return run(ports, argv[2], number(argv[3], 1, 20'000), std::chrono::seconds(number(argv[4], 1, 600)));
}
