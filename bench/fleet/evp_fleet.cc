// evp-fleet: what one backend does for how many devices, beside the least that broker and disk allow.
//
// Starts the real evp-backend with its broker, and simulated devices in one process that speak as EVP agents do.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "measurements.h"
#include "worker.h"

namespace evp::bench {
namespace {

namespace fs = io::fs;

constexpr const char* usage =
    R"(evp-fleet: simulated devices ask the real evp-backend for storage tokens, over MQTT, beside an echo
that stands in the backend's place and only commits a row for each answer (docs/benchmarks.md).

Usage: evp-fleet [options]

  --devices A,B,..    numbers of devices that are connected at once, ascending (100,5000,19000)
  --outstanding N     requests without an answer at any time, over all devices (1000)
  --seconds S         of each measurement (5)
  --rounds N          of backend and echo in turn, of which the medians count (3)
  --registered N      devices in the database of the second part; 0: without that part (1000000)
  --reads N           GETs of the REST API (50000)
  --mqtt 3|5          version that the devices speak (3: 3.1.1)

Each device takes an open file or, where the limit allows, two, so that backend and echo are measured in turn and not
one after the other. PSS of the backend is root's to read, others see RSS. Needs about 2 GB below $TMPDIR. Prints a table, then one line of JSON. Figures of a
machine that does other work meanwhile are worth nothing but for their ratios.
)";

[[noreturn]] void wrong_usage(const std::string& why) {
  std::fprintf(stderr, "evp-fleet: %s\n\n%s", why.c_str(), usage);
  std::exit(2);
}

std::size_t number(const std::string& flag, const std::string& text, std::size_t least, std::size_t most) {
  char* end = nullptr;
  const auto n = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || text[0] < '0' || text[0] > '9' || *end != '\0' || n < least || n > most)
    wrong_usage(flag + " needs a number from " + std::to_string(least) + " to " + std::to_string(most));
  return n;
}

sizes read_options(int argc, char** argv) {
  sizes s;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      std::fputs(usage, stdout);
      std::exit(0);
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (flag == "--devices") {
      s.devices.clear();
      std::istringstream all(value);
      for (std::string one; std::getline(all, one, ',');) {
        const auto least = s.devices.empty() ? 1 : s.devices.back() + 1;
        s.devices.push_back(number(flag, one, least, 25'000));  // ports of one address, and a broker's endurance
      }
      if (s.devices.empty()) wrong_usage("--devices needs numbers");
    } else if (flag == "--outstanding") {
      s.outstanding = number(flag, value, 1, 20'000);
    } else if (flag == "--seconds") {
      s.time = std::chrono::seconds(number(flag, value, 1, 600));
    } else if (flag == "--rounds") {
      s.rounds = int(number(flag, value, 1, 100));
    } else if (flag == "--registered") {
      s.registered = number(flag, value, 0, 1'000'000);
      s.few_registered = std::min(s.few_registered, s.registered / 10 + 1);
    } else if (flag == "--reads") {
      s.reads = number(flag, value, 100, 10'000'000);
    } else if (flag == "--mqtt") {
      if (value != "3" && value != "5") wrong_usage("--mqtt needs 3 or 5");
      s.version = value == "5" ? mqtt_version::v5 : mqtt_version::v311;
    } else {
      wrong_usage("there is no " + flag);
    }
  }
  return s;
}

/// Two connections a device: one to the backend's broker and one to the echo's. With a limit that allows one only, the
/// two are measured one after the other. The brokers inherit the limit. Returns it.
std::size_t allow_open_files(std::size_t devices) {
  const rlim_t best = 2 * devices + spare_files, least = devices + spare_files;
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  const rlimit raised{std::max(now.rlim_cur, best), std::max(now.rlim_max, best)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
  const int refused = errno;
  const rlimit highest{now.rlim_max, now.rlim_max};
  if (now.rlim_max >= least && ::setrlimit(RLIMIT_NOFILE, &highest) == 0) return highest.rlim_cur;
  give_up(std::to_string(devices) + " devices need " + std::to_string(least) + " open files and the limit is " +
          std::to_string(now.rlim_max) + " (" + std::strerror(refused) +
          "): run as root, raise LimitNOFILE or /etc/security/limits.conf, or give smaller --devices");
}

int run(const sizes& s, const fs::path& folder) {
  const auto programs = fs::read_symlink("/proc/self/exe").parent_path();
  json::object report{{"outstanding", s.outstanding}, {"seconds", s.time.count() / 1000}, {"rounds", s.rounds}};
  report["tokens"] = measure_rates(s, folder, programs);
  if (s.registered > 0) report["registry"] = measure_registry(s, folder, programs);
  std::printf("%s\n", json::serialize(report).c_str());
  return 0;
}

/// The children that have come to this process, which is their subreaper.
std::vector<pid_t> orphans() {
  const auto self = std::to_string(::getpid());
  std::istringstream all(text_of("/proc/" + self + "/task/" + self + "/children"));
  std::vector<pid_t> out;
  for (pid_t pid = 0; all >> pid;) out.push_back(pid);
  return out;
}

}  // namespace
}  // namespace evp::bench

/// The work is done by a child; whatever becomes of it, this process ends what it has started and removes its folder.
int main(int argc, char** argv) {
  using namespace evp::bench;
  auto s = read_options(argc, argv);
  s.open_files = allow_open_files(s.devices.back());
  std::string folder = (fs::temp_directory_path() / "evp-fleet-XXXXXX").string();
  if (!::mkdtemp(folder.data())) give_up("can't make a folder in " + fs::temp_directory_path().string());
  const int status = run_in_worker([&] { return run(s, folder); });
  for (const auto pid : orphans()) ::kill(pid, SIGKILL);  // evp-backend's broker dies with it
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) continue;
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return status;
}
