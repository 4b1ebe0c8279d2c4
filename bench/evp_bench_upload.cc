// evp-bench-upload: what one upload through the whole system costs, beside curl on the same files and server.
//
// Starts the real evp-backend (with its broker), evp-runtime and a module, and a storage that forgets what it gets.
// Each file of ours is durable before it is accepted and costs a grant, the PUT, a report and the backend's HEAD; curl
// only PUTs.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "upload_world.h"

namespace evp::bench {
namespace {

namespace fs = io::fs;
constexpr long long mib = 1 << 20;

/// What the public agent took for the first six, on another machine: 0.19, 29, 18, 33, 0.23, 1.16 s.
constexpr workload small[] = {{"200 x 10 KB, sequential, http", "plain", 200, 1, 10'240},
                              {"200 x 10 KB, 10 at once, http", "plain", 200, 10, 10'240},
                              {"200 x 10 KB, sequential, https", "tls", 200, 1, 10'240},
                              {"200 x 10 KB, 10 at once, https", "tls", 200, 10, 10'240}};
constexpr workload large[] = {{"1 x 256 MB, http", "plain", 1, 1, 256 * mib},
                              {"1 x 256 MB, https", "tls", 1, 1, 256 * mib},
                              {"1 x 2 GB in parts, https", "tls", 1, 1, 2048 * mib}};
constexpr int pieces = 4;
constexpr workload huge{"1 x 20 GB of holes, http", "plain", 1, 1, 20480 * mib};
constexpr int queued_files = 10'000;
constexpr int idle_seconds = 30;

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

/// The median of one append of 4 KB with its fdatasync, in the folder that the runtime's journal is in.
double median_sync(const fs::path& folder) {
  const io::unique_fd file(::open((folder / "sync-probe").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  const std::string block(4096, 'x');
  std::vector<double> all;
  for (int i = 0; i < 200; ++i) {
    const auto began = std::chrono::steady_clock::now();
    if (::write(file.get(), block.data(), block.size()) < 0 || ::fdatasync(file.get()) != 0) give_up("can't sync");
    all.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  ::unlink((folder / "sync-probe").c_str());
  return median(all);
}

/// Of all its threads.
long wake_ups(pid_t pid) {
  long sum = 0;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream in(task.path() / "status");
    for (std::string line; std::getline(in, line);)
      if (line.rfind("voluntary_ctxt_switches:", 0) == 0) sum += std::atol(line.c_str() + 24);
  }
  return sum;
}

/// The files of its address space that are no libc's, with their sizes.
json::object libraries_of(pid_t pid) {
  json::object out;
  std::ifstream in("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(in, line);) {
    const auto slash = line.find('/');
    const auto path = slash == line.npos ? "" : line.substr(slash);
    const auto name = fs::path(path).filename().string();
    const bool libc = name.rfind("libc.so", 0) == 0 || name.rfind("ld-linux", 0) == 0 || name.rfind("libm.so", 0) == 0;
    if (name.find(".so") != name.npos && !libc && fs::exists(path)) out[name] = (std::int64_t)fs::file_size(path);
  }
  return out;
}

json::object memory_of(pid_t pid) {
  return {{"rssKb", kilobytes(pid, "status", "VmRSS:")}, {"pssKb", kilobytes(pid, "smaps_rollup", "Pss:")}};
}

long long stripped_size(const fs::path& program_file, const fs::path& folder) {
  cost_of({"strip", "-o", folder / "stripped", program_file});
  return (long long)fs::file_size(folder / "stripped");
}

void heading(const char* what) {
  std::printf("\n%-32s %9s %9s %7s   %s\n", what, "ours", "curl", "x curl", "to reach");
}

json::array run_small(world& w, int runs, double sync) {
  json::array rows;
  heading("seconds, medians");
  for (const auto& load : small) {
    std::vector<double> ours, confirming, curl;
    w.ours(load);  // makes the files, warms both up
    w.curl(load);
    for (int i = 0; i < runs; ++i) {
      const auto t = w.ours(load);
      ours.push_back(t.seconds);
      confirming.push_back(t.confirming);
      curl.push_back(w.curl(load).seconds);
    }
    const double us = median(ours), peer = median(curl);
    const double bound = load.outstanding > 1 ? 3 * peer + load.count * sync : 0.5 + load.count * sync;
    const double apart = median(confirming), without = us - apart;
    std::printf("%-32s %9.3f %9.3f %7.2f   %.3f s: %s\n", load.name, us, peer, us / peer, bound,
                us <= bound ? "yes" : "NO");
    std::printf("%-32s %9.3f %9.3f %7.2f   %.3f s: %s; report and HEAD %.3f s\n", "  until the storage had them",
                without, peer, without / peer, bound, without <= bound ? "yes" : "NO", apart);
    std::fflush(stdout);
    rows.push_back(json::object{{"name", load.name},
                                {"oursSeconds", us},
                                {"reportAndHeadSeconds", apart},
                                {"curlSeconds", peer},
                                {"toReach", bound}});
  }
  return rows;
}

json::array run_large(world& w, int runs) {
  json::array rows;
  heading("seconds (CPU), medians");
  for (const auto& load : large) {
    std::vector<double> ours, ours_cpu, curl, curl_cpu, digest;
    const auto peer = [&] { return load.bytes > 1024 * mib ? w.curl_in_pieces(load, pieces) : w.curl(load); };
    w.ours(load);
    peer();
    const long before = kilobytes(w.runtime_pid(), "status", "VmRSS:");
    for (int i = 0; i < runs; ++i) {
      const double cpu = cpu_seconds(w.runtime_pid());
      ours.push_back(w.ours(load).seconds);
      ours_cpu.push_back(cpu_seconds(w.runtime_pid()) - cpu);
      const auto c = peer();
      curl.push_back(c.seconds);
      curl_cpu.push_back(c.cpu_seconds);
      digest.push_back(w.digest(load).cpu_seconds);
    }
    const double us = median(ours), them = median(curl), cpu_bound = 1.2 * (median(curl_cpu) + median(digest));
    std::printf("%-32s %9.3f %9.3f %7.2f   %.3f s: %s\n", load.name, us, them, us / them, 1.2 * them,
                us <= 1.2 * them ? "yes" : "NO");
    std::printf("%-32s %9.2f %9.2f %7.2f   %.2f s with openssl dgst: %s; RSS %+ld kB\n", "  CPU", median(ours_cpu),
                median(curl_cpu), median(ours_cpu) / median(curl_cpu), cpu_bound,
                median(ours_cpu) <= cpu_bound ? "yes" : "NO", kilobytes(w.runtime_pid(), "status", "VmRSS:") - before);
    std::fflush(stdout);
    rows.push_back(json::object{{"name", load.name},
                                {"oursSeconds", us},
                                {"curlSeconds", them},
                                {"oursCpuSeconds", median(ours_cpu)},
                                {"curlCpuSeconds", median(curl_cpu)},
                                {"digestCpuSeconds", median(digest)}});
  }
  return rows;
}

json::object run_huge(world& w) {
  const long before = kilobytes(w.runtime_pid(), "status", "VmRSS:");
  const double took = w.ours_by_ledger(huge, 600);
  const long high = kilobytes(w.runtime_pid(), "status", "VmHWM:");
  std::printf("\n%-32s %9.1f s; RSS %ld kB before, %ld kB at most\n", huge.name, took, before, high);
  std::fflush(stdout);
  return {{"seconds", took}, {"rssBeforeKb", before}, {"rssHighestKb", high}};
}

/// Memory for each queued file, and what a runtime with a full queue does while it can do nothing.
json::object run_queue(world& w) {
  const pid_t pid = w.runtime_pid();
  const long before = kilobytes(pid, "status", "VmRSS:");
  w.queue(queued_files);
  long files = 0;
  const auto in_queue = [&] {
    files = long(w.queued());
    return files >= queued_files;
  };
  wait_for("a full queue", in_queue, 300);
  std::this_thread::sleep_for(std::chrono::seconds(15));  // until its breaker has opened, and all is written
  const long after = kilobytes(pid, "status", "VmRSS:");
  const long wakes = wake_ups(pid), written = kilobytes(pid, "io", "write_bytes:");
  std::this_thread::sleep_for(std::chrono::seconds(idle_seconds));
  const double per_10s = double(wake_ups(pid) - wakes) * 10 / idle_seconds;
  const long bytes = kilobytes(pid, "io", "write_bytes:") - written;
  const double each = double(after - before) * 1024 / double(files);
  std::printf(
      "\n%ld files queued: %.0f bytes of memory each (to reach: 300); %d s with an unreachable storage: %.1f "
      "wake-ups in 10 s, %ld bytes written\n",
      files, each, idle_seconds, per_10s, bytes);
  std::fflush(stdout);
  return {{"files", files}, {"bytesEach", each}, {"wakeUpsIn10s", per_10s}, {"bytesWritten", bytes}};
}

json::object run_idle(world& w) {
  const pid_t pid = w.runtime_pid();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const long wakes = wake_ups(pid), written = kilobytes(pid, "io", "write_bytes:");
  std::this_thread::sleep_for(std::chrono::seconds(idle_seconds));
  const double per_10s = double(wake_ups(pid) - wakes) * 10 / idle_seconds;
  const long bytes = kilobytes(pid, "io", "write_bytes:") - written;
  std::printf("idle for %d s: %.1f wake-ups in 10 s (to reach: 1), %ld bytes written (to reach: 0)\n", idle_seconds,
              per_10s, bytes);
  return {{"wakeUpsIn10s", per_10s}, {"bytesWritten", bytes}};
}

json::object run_footprint(world& w, const fs::path& folder) {
  const auto idle = memory_of(w.runtime_pid());
  const long curl = w.idle_curl_pss();
  const auto size = stripped_size(w.runtime_program(), folder);
  const long pss = long(idle.at("pssKb").as_int64());
  auto libraries = libraries_of(w.runtime_pid());
  std::printf(
      "evp-runtime idle, no module: %ld kB PSS, curl with an open https connection %ld kB: %.2f x (to reach: 1.3)\n",
      pss, curl, double(pss) / double(curl));
  std::printf("stripped evp-runtime: %lld bytes (to reach: 1,300,000); it loads", size);
  for (const auto& [name, bytes] : libraries) std::printf(" %s %lld", std::string(name).c_str(), bytes.as_int64());
  std::printf("\n");
  std::fflush(stdout);
  return {{"idle", idle}, {"curlPssKb", curl}, {"strippedBytes", size}, {"libraries", std::move(libraries)}};
}

/// What may be measured alone, with --only.
constexpr std::string_view all_parts[] = {"footprint", "idle", "small", "large", "huge", "queue"};

int run(int runs, const std::string& only) {
  const auto wanted = [&](std::string_view part) { return only.empty() || only == part; };
  std::string pattern = (fs::temp_directory_path() / "evp-bench-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) give_up("can't make a folder in " + fs::temp_directory_path().string());
  const fs::path folder = pattern;
  ::chmod(folder.c_str(), 0711);  // modules run as users of their own
  json::object report{{"runs", runs}};
  {
    world w(folder);
    std::this_thread::sleep_for(std::chrono::seconds(2));
    if (wanted("footprint")) report["footprint"] = run_footprint(w, folder);
    w.deploy();
    if (wanted("idle")) report["idle"] = run_idle(w);
    const double sync = median_sync(w.device_folder());
    std::printf("one append of 4 KB and its fdatasync: %.3f ms, median of 200\n", sync * 1e3);
    report["syncMillis"] = sync * 1e3;
    if (wanted("small")) report["small"] = run_small(w, runs, sync);
    if (wanted("large")) report["large"] = run_large(w, runs);
    if (wanted("huge")) report["huge"] = run_huge(w);
    if (wanted("queue")) report["queue"] = run_queue(w);
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  std::printf("%s\n", json::serialize(report).c_str());
  return 0;
}

}  // namespace
}  // namespace evp::bench

int main(int argc, char** argv) {
  using namespace evp::bench;
  int runs = 5;
  std::string only;
  bool usable = argc % 2 == 1;
  for (int i = 1; usable && i < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--runs")
      runs = std::atoi(argv[i + 1]);
    else if (option == "--only")
      only = argv[i + 1];
    else
      usable = false;
  }
  usable = usable && runs >= 1 && runs <= 100;
  if (!only.empty() && std::find(std::begin(all_parts), std::end(all_parts), only) == std::end(all_parts))
    usable = false;
  if (!usable) {
    std::fprintf(stderr,
                 "Usage: evp-bench-upload [--runs 1..100] [--only footprint|idle|small|large|huge|queue]\n"
                 "Uploads through the real programs beside curl: medians of the runs (5), memory, wake-ups, sizes.\n"
                 "Needs about 5 GB below $TMPDIR, 10 minutes, and root for what /proc tells of other users.\n");
    return 2;
  }
  return run(runs, only);
}
