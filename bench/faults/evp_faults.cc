// evp-faults: the proof that nothing accepted is lost. Many files go through the real programs while those are killed,
// the network is cut and the storage misbehaves; then everything is mended, and promises are held against facts. After
// that the same is done to a shell script with curl.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdio>
#include <fstream>
#include <functional>
#include <random>

#include "report.h"
#include "worker.h"
#include "world.h"

namespace evp::bench {
namespace {

namespace fs = io::fs;
using clock = std::chrono::steady_clock;

constexpr unsigned open_at_once = 300;                     // files that the module has handed over and not heard of
constexpr unsigned files_max = 20'000;                     // of both contenders: the storage has 2 GiB
constexpr auto settling_limit = std::chrono::minutes(15);  // a storage that was given up is probed every 10 minutes
constexpr std::size_t reasons_max = 20;
constexpr milliseconds tick(50), progress_every(1'000);

constexpr const char* usage = R"(evp-faults: uploads files through the real backend, broker, runtime and storage
(Ceph RGW) while all of them are killed and restarted at random, the network is cut, grants expire, the storage answers
503 and 429, withholds answers, and the disk fills; then looks for lost, corrupt and doubled ones. After that the same
for a script with curl --retry. docs/faults.md says more.

Usage: evp-faults [--files N] [--minutes M] [--seed S] [--no-curl] [--keep]

  --files N     1 to 20000, of which the storage's memory holds two sets (10000)
  --minutes M   of faults at most, for each of the two; then everything is mended and must come to its end (30)
  --seed S      of the schedule of faults and of the files' bytes; printed (random)
  --no-curl     without the comparison
  --keep        leaves logs and records in the folder that is printed

Needs tools/install_packages build test. Without root the network is cut at the programs' connections, and the disk is
not filled. Prints a table, then one line of JSON. Exit status 1: something was lost, corrupt or doubled, a program
ended by itself, or not all files could be handed over.
)";

/// Who is put through the faults.
struct contender {
  const char* name;
  std::function<bool(fault)> begin;  ///< false: it did not happen, or not to this one
  std::function<void(fault)> end;
  std::function<bool()> is_over;
  std::function<std::string()> progress;
};

void show(const contender& who, double seconds, const std::string& what) {
  std::fprintf(stderr, "\r\033[K%s %4.0f s: %s, %s", who.name, seconds, who.progress().c_str(), what.c_str());
}

double seconds_since(clock::time_point t) { return std::chrono::duration<double>(clock::now() - t).count(); }

storm_report put_through(const contender& who, world& w, const std::vector<fault_event>& plan, milliseconds limit) {
  storm_report report;
  std::multimap<milliseconds, fault> to_mend;
  std::string last = "no fault yet";
  const auto before = w.sky().counts();
  const auto began = clock::now();
  auto shown = began;
  const auto go_on = [&](const std::string& what) {
    w.tick();
    if (clock::now() - shown >= progress_every) {
      show(who, seconds_since(began), what);
      shown = clock::now();
    }
    std::this_thread::sleep_for(tick);
  };
  w.rage();
  for (auto next = plan.begin(); clock::now() - began < limit && !who.is_over(); go_on(last)) {
    const auto now = std::chrono::duration_cast<milliseconds>(clock::now() - began);
    for (; !to_mend.empty() && to_mend.begin()->first <= now; to_mend.erase(to_mend.begin()))
      who.end(to_mend.begin()->second);
    for (; next != plan.end() && next->at <= now; ++next) {
      const bool happened = who.begin(next->what);
      if (happened) last = fault_names[std::size_t(next->what)];
      report.faults[std::size_t(next->what)] += happened;
      to_mend.emplace(now + next->lasts, next->what);
    }
  }
  report.seconds = seconds_since(began);
  for (const auto& [when, what] : to_mend) who.end(what);
  w.calm();
  const auto calm = clock::now();
  while (!who.is_over() && clock::now() - calm < settling_limit) go_on("no more faults");
  report.settling_seconds = seconds_since(calm);
  report.is_over = who.is_over();
  const auto after = w.sky().counts();
  for (std::size_t i = 0; i < after.size(); ++i) report.harms[i] = after[i] - before[i];
  std::fprintf(stderr, "\r\033[K");
  return report;
}

ledger_states read_ledger(rest& api) {
  ledger_states all;
  std::string cursor;
  do {
    const auto page = api.call("GET", "/v1/uploads?limit=1000" + cursor, "").as_object();
    for (const auto& row : page.at("uploads").as_array())
      all[std::string(row.at("object").as_string())].emplace(row.at("state").as_string());
    const auto* next = page.if_contains("nextCursor");
    cursor = next ? "&cursor=" + std::string(next->as_string()) : std::string();
  } while (!cursor.empty());
  return all;
}

ours_report run_ours(const options& o, const place& p, world& w, const objects& storage) {
  const auto folder = p.folder / "records";
  fs::create_directories(folder);
  ::chmod(folder.c_str(), 0777);  // the module has a user of its own
  const std::string order = std::to_string(o.seed) + " " + std::to_string(o.files) + " " + std::to_string(open_at_once);
  w.start_device(order, w.is_root() ? folder : ".");
  record_reader reader(w.is_root() ? folder / "records" : p.device() / "instances/uploader/default_workspace/records");
  contender who{"evp", [&](fault f) { return w.begin(f); }, [&](fault f) { w.end(f); }, {}, {}};
  who.is_over = [&] {
    const auto& r = reader.read();
    return r.accepted >= o.files && r.ended >= r.accepted;
  };
  who.progress = [&] {
    const auto& r = reader.read();
    return std::to_string(r.accepted) + " accepted, " + std::to_string(r.ended) + " ended";
  };
  ours_report report;
  const milliseconds limit = std::chrono::minutes(o.minutes);
  report.storm = put_through(who, w, make_schedule(o.seed, limit), limit);
  auto api = w.api();
  const auto& r = reader.read();
  std::fprintf(stderr, "looking at %u files in the storage ...\n", r.accepted);
  report.found = judge(r, storage.check(successes(r), o.seed), read_ledger(api));
  report.lives = r.lives;
  report.ended_by_itself = w.ended_by_itself();
  for (const auto& [path, count] : w.sky().puts()) report.put_again += count > 1;
  std::ifstream log(p.folder / "runtime.log");
  for (std::string line; std::getline(log, line) && report.reasons.size() < reasons_max;)
    if (line.find(" failed: ") != line.npos) report.reasons.push_back(line);
  w.stop_device();
  return report;
}

curl_report run_curl(const options& o, const place& p, world& w, const objects& storage) {
  std::fprintf(stderr, "making the files of the comparison ...\n");
  curl_script script(w, storage, p, o.seed, o.files);
  contender who{"curl", {}, {}, [&] { return script.is_over(); }, {}};
  who.progress = [&] { return std::to_string(script.done()) + " done"; };
  const auto concerns = [](fault f) { return f == fault::gateway || f == fault::network || f == fault::storm; };
  who.begin = [&](fault f) { return f == fault::runtime ? script.kill() : concerns(f) && w.begin(f); };
  who.end = [&](fault f) {
    if (f == fault::runtime) script.start();
    if (concerns(f)) w.end(f);
  };
  curl_report report;
  const milliseconds limit = std::chrono::minutes(o.minutes);
  script.start();
  report.storm = put_through(who, w, make_schedule(o.seed, limit), limit);
  script.kill();
  std::fprintf(stderr, "looking at %u files in the storage ...\n", o.files);
  report.found = script.judge(storage, o.seed);
  report.found.is_over = report.storm.is_over;
  return report;
}

int run(const options& o, const place& p) {
  world w(p, o.seed);
  const objects storage(w.storage());
  const auto ours = run_ours(o, p, w, storage);
  std::optional<curl_report> curl;
  if (o.with_curl) curl = run_curl(o, p, w, storage);
  print(o, w.is_root(), ours, curl ? &*curl : nullptr);
  const bool is_kept = ours.found.lost + ours.found.corrupt + ours.found.doubled + ours.ended_by_itself == 0;
  return is_kept && ours.found.accepted >= o.files ? 0 : 1;
}

options read_options(int argc, char** argv) {
  options o;
  o.seed = std::random_device()() % 1'000'000;
  const auto number = [&](int& i, std::uint64_t most) -> std::uint64_t {
    char* end = nullptr;
    const auto n = i + 1 < argc ? std::strtoull(argv[i + 1], &end, 10) : 0;
    if (!end || *end != '\0' || argv[i + 1][0] < '0' || argv[i + 1][0] > '9' || n > most) {
      std::fprintf(stderr, "evp-faults: %s needs a number up to %llu\n", argv[i], (unsigned long long)most);
      std::exit(2);
    }
    ++i;
    return n;
  };
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    if (a == "--files") {
      o.files = std::max(1u, unsigned(number(i, files_max)));
    } else if (a == "--minutes") {
      o.minutes = std::max(1u, unsigned(number(i, 10'000)));
    } else if (a == "--seed") {
      o.seed = number(i, ~0ull >> 1);
    } else if (a == "--no-curl") {
      o.with_curl = false;
    } else if (a == "--keep") {
      o.keep = true;
    } else {
      const bool is_help = a == "--help" || a == "-h";
      std::fputs(usage, is_help ? stdout : stderr);
      std::exit(is_help ? 0 : 2);
    }
  }
  return o;
}

}  // namespace
}  // namespace evp::bench

/// The work is done by a child; whatever becomes of it, this process cleans up after it.
int main(int argc, char** argv) {
  using namespace evp::bench;
  const auto o = read_options(argc, argv);
  std::string pattern = (fs::temp_directory_path() / "evp-faults-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) give_up("can't make a folder in " + fs::temp_directory_path().string());
  ::chmod(pattern.c_str(), 0711);  // modules run as users of their own
  const place p{pattern, ::getpid()};
  std::fprintf(stderr, "seed %llu, folder %s\n", (unsigned long long)o.seed, pattern.c_str());
  const int status = run_in_worker([&] { return run(o, p); });
  if (o.keep) std::fprintf(stderr, "kept: %s\n", pattern.c_str());
  clean_up(p, o.keep);
  return status;
}
