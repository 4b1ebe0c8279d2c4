// evp-bench-upload: what one upload through the whole system costs, beside curl on the same files and server.
//
// Starts the real evp-backend (with its broker), evp-runtime and a module, and a storage that forgets what it gets.
// Each file of ours costs a grant, the PUT, a report and the backend's HEAD; curl only PUTs.
#include <sys/stat.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "http/test_certificates.h"
#include "programs.h"
#include "rest.h"
#include "storage_double.h"

namespace evp::bench {
namespace {

namespace fs = io::fs;

struct workload {
  const char* name;
  const char* storage;
  int count, outstanding;
  long long bytes;
  double agent_s;  ///< what the public agent took (issue of the skeleton; another machine)
};
constexpr workload workloads[] = {
    {"200 x 10 KB, sequential, http", "plain", 200, 1, 10'240, 0.19},
    {"200 x 10 KB, 10 at once, http", "plain", 200, 10, 10'240, 29},
    {"200 x 10 KB, sequential, https", "tls", 200, 1, 10'240, 18},
    {"200 x 10 KB, 10 at once, https", "tls", 200, 10, 10'240, 33},
    {"1 x 256 MB, http", "plain", 1, 1, 268'435'456, 0.23},
    {"1 x 256 MB, https", "tls", 1, 1, 268'435'456, 1.16},
};

struct measured {
  std::vector<double> ours_s, curl_s;
};

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

/// Everything that runs while it measures.
class world {
 public:
  explicit world(fs::path folder)
      : folder_(std::move(folder)),
        bin_(fs::read_symlink("/proc/self/exe").parent_path()),
        plain_(std::nullopt),
        tls_(files()) {
    start_backend();
    start_runtime();
  }

  double ours(const workload& w) {
    json::object params{{"count", w.count}, {"bytes", w.bytes}, {"outstanding", w.outstanding}, {"storage", w.storage}};
    json::object body{{"params", std::move(params)}, {"timeLimit", "PT60S"}};
    const auto answer = api_->call("POST", "/v1/devices/bench/commands/bench/run", json::serialize(body));
    const auto& said = answer.at("response");
    if (!said.is_object()) give_up("the module answered " + json::serialize(answer));
    if (said.at("failed").as_int64() != 0) give_up("an upload failed; see " + (folder_ / "runtime.log").string());
    return said.at("ms").to_number<double>() / 1e3;
  }

  /// One curl process with kept-alive connections. The module's own files, so that both read the same page cache.
  double curl(const workload& w) {
    const auto settings = folder_ / "curl.config";
    const auto& server = std::string(w.storage) == "tls" ? tls_ : plain_;
    std::ofstream out(settings);
    for (int i = 0; i < w.count; ++i) {
      const auto name = std::to_string(w.bytes) + "-" + std::to_string(i) + ".bin";
      out << "upload-file=\"" << (folder_ / "device/instances/bench/default_workspace" / name).string() << "\"\nurl=\""
          << server.url() << "/curl/" << name << "\"\noutput=\"/dev/null\"\nsilent\nfail\ncacert=\""
          << (folder_ / "ca.pem").string() << "\"\nheader=\"Expect:\"\n";
      if (i + 1 < w.count) out << "next\n";
    }
    out.close();
    std::vector<std::string> command{"curl"};
    if (w.outstanding > 1)
      command.insert(command.end(), {"--parallel", "--parallel-max", std::to_string(w.outstanding)});
    command.insert(command.end(), {"--config", settings.string()});
    return time_of(command) / 1e3;
  }

  pid_t runtime_pid() const { return runtime_->pid(); }
  fs::path runtime_program() const { return bin_ / "evp-runtime"; }

 private:
  /// Made while this object is still being made: the stores need them.
  http::tls_files files() {
    const http::test_authority authority;
    const auto server = authority.issue("IP:127.0.0.1");
    std::ofstream(folder_ / "ca.pem") << authority.pem();
    std::ofstream(folder_ / "chain.pem") << server.certificate_pem;
    std::ofstream(folder_ / "key.pem") << server.key_pem;
    return {folder_ / "chain.pem", folder_ / "key.pem"};
  }
  void start_backend() {
    const auto data = folder_ / "backend";
    fs::create_directories(data);
    backend_ = std::make_unique<program>(
        std::vector<std::string>{bin_ / "evp-backend", "--data", data, "--listen", "127.0.0.1:0", "--mqtt-listen",
                                 "127.0.0.1:0", "--allowed-endpoint-networks", "127.0.0.0/8", "--log-level", "warning"},
        folder_ / "backend.log", environment{});
    wait_for("the start of evp-backend", [&] { return fs::exists(data / "ready.json") || !backend_->running(); });
    if (!backend_->running()) give_up("evp-backend ended: " + text_of(folder_ / "backend.log"));
    facts_ = json::parse(text_of(data / "ready.json"));
    api_ = std::make_unique<rest>(std::string(facts_.at("rest").as_string()), text_of(data / "admin.token"));
    for (const auto* server : {&plain_, &tls_}) {
      json::object body{
          {"type", "AWS"},          {"name", server == &tls_ ? "tls" : "plain"}, {"endpoint", server->url()},
          {"accessKeyId", "bench"}, {"secretAccessKey", "bench-secret"},         {"pathStyle", true}};
      if (server == &tls_) body["certificate"] = text_of(folder_ / "ca.pem");
      api_->call("POST", "/v1/storage-access-services", json::serialize(body));
    }
  }
  void start_runtime() {
    const auto device = api_->call("POST", "/v1/devices", R"({"id":"bench"})");
    api_->call("PUT", "/v1/modules/bench-1", text_of(bin_ / "modules/bench_uploader"));
    api_->call(
        "PUT", "/v1/devices/bench/deployment",
        R"({"deploymentId":"bench-1","instanceSpecs":{"bench":{"moduleId":"bench-1","publish":{},"subscribe":{}}},)"
        R"("modules":{"bench-1":{"moduleImpl":"spawn","entryPoint":"main"}}})");
    environment env{{"EVP_DATA_DIR", folder_ / "device"},
                    {"EVP_MQTT_HOST", "127.0.0.1"},
                    {"EVP_MQTT_PORT", json::serialize(facts_.at("mqtt").at("port"))},
                    {"EVP_MQTT_USERNAME", "bench"},
                    {"EVP_MQTT_PASSWORD", std::string(device.at("credentials").at("password").as_string())},
                    {"EVP_REPORT_STATUS_INTERVAL_MIN_SEC", "1"},
                    {"EVP_LOG_LEVEL", "warn"}};
    runtime_ = std::make_unique<program>(std::vector<std::string>{bin_ / "evp-runtime"}, folder_ / "runtime.log", env);
    wait_for("the start of the module", [&] {
      const auto state = json::serialize(api_->call("GET", "/v1/devices/bench/state", "", true));
      return state.find(R"("status":"ok")") != std::string::npos;
    });
  }

  fs::path folder_, bin_;
  storage_double plain_, tls_;
  json::value facts_;
  std::unique_ptr<rest> api_;
  std::unique_ptr<program> backend_, runtime_;
};

json::object memory_of(pid_t pid) {
  return {{"rssKb", kilobytes(pid, "status", "VmRSS:")}, {"pssKb", kilobytes(pid, "smaps_rollup", "Pss:")}};
}

long long stripped_size(const fs::path& program_file, const fs::path& folder) {
  time_of({"strip", "-o", folder / "stripped", program_file});
  return (long long)fs::file_size(folder / "stripped");
}

int run(int runs) {
  std::string pattern = (fs::temp_directory_path() / "evp-bench-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) give_up("can't make a folder in " + fs::temp_directory_path().string());
  const fs::path folder = pattern;
  ::chmod(folder.c_str(), 0711);  // modules run as users of their own
  json::object report;
  {
    world w(folder);
    const auto idle = memory_of(w.runtime_pid());
    std::printf("%-34s %10s %10s %8s   %s\n", "seconds, medians", "ours", "curl", "x curl", "public agent, elsewhere");
    json::array rows;
    for (const auto& load : workloads) {
      w.ours(load);  // makes the files, warms both up
      w.curl(load);
      measured m;
      for (int i = 0; i < runs; ++i) {
        m.ours_s.push_back(w.ours(load));
        m.curl_s.push_back(w.curl(load));
      }
      const double ours = median(m.ours_s), curl = median(m.curl_s);
      std::printf("%-34s %10.3f %10.3f %8.2f   %.2f\n", load.name, ours, curl, ours / curl, load.agent_s);
      std::fflush(stdout);
      rows.push_back(json::object{
          {"name", load.name}, {"oursSeconds", ours}, {"curlSeconds", curl}, {"agentSeconds", load.agent_s}});
    }
    const auto after = memory_of(w.runtime_pid());
    const auto size = stripped_size(w.runtime_program(), folder);
    const auto number = [](const json::object& o, const char* key) { return (long)o.at(key).to_number<long>(); };
    std::printf("evp-runtime: idle %ld kB RSS, %ld kB PSS; afterwards %ld kB RSS, %ld kB PSS; stripped %lld bytes\n",
                number(idle, "rssKb"), number(idle, "pssKb"), number(after, "rssKb"), number(after, "pssKb"), size);
    report = {
        {"runs", runs}, {"workloads", std::move(rows)}, {"idle", idle}, {"after", after}, {"strippedBytes", size}};
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  std::printf("%s\n", json::serialize(report).c_str());
  return 0;
}

}  // namespace
}  // namespace evp::bench

int main(int argc, char** argv) {
  int runs = 3;
  if (argc == 3 && std::string(argv[1]) == "--runs") runs = std::atoi(argv[2]);
  if ((argc != 1 && argc != 3) || runs < 1 || runs > 100) {
    std::fprintf(stderr, "Usage: evp-bench-upload [--runs 1..100]\n");
    return 2;
  }
  return evp::bench::run(runs);
}
