#include "upload_world.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>

#include "http/test_certificates.h"

namespace evp::bench {

namespace fs = io::fs;

namespace {
/// One entry of a curl configuration: a PUT without Expect.
void add_entry(std::ofstream& out, bool is_first, const fs::path& file, const std::string& url, const fs::path& ca) {
  if (!is_first) out << "next\n";
  out << "upload-file=\"" << file.string() << "\"\nurl=\"" << url << "\"\noutput=\"/dev/null\"\nsilent\nfail\ncacert=\""
      << ca.string() << "\"\nheader=\"Expect:\"\n";
}
}  // namespace

world::world(fs::path folder)
    : folder_(std::move(folder)),
      bin_(fs::read_symlink("/proc/self/exe").parent_path()),
      plain_(std::nullopt),
      tls_(files()) {
  start_backend();
  start_runtime();
}

json::value world::run(const workload& w, const char* limit, bool may_fail) {
  json::object params{{"count", w.count}, {"bytes", w.bytes}, {"outstanding", w.outstanding}, {"storage", w.storage}};
  json::object body{{"params", std::move(params)}, {"timeLimit", limit}};
  return api_->call("POST", "/v1/devices/bench/commands/bench/run", json::serialize(body), may_fail);
}

timing world::ours(const workload& w) {
  const auto answer = run(w, "PT60S", false);
  const auto& said = answer.at("response");
  if (!said.is_object()) give_up("the module answered " + json::serialize(answer));
  if (said.at("failed").as_int64() != 0) give_up("an upload failed; see " + (folder_ / "runtime.log").string());
  timing out{said.at("ms").to_number<double>() / 1e3, 0};
  // Of all places' time, the share in which the storage had the file already.
  double all = 0, confirming = 0;
  int number = 0;
  for (const auto& f : said.at("files").as_array()) {
    const double begun = f.at(0).to_number<double>(), ended = f.at(1).to_number<double>();
    const double taken = server(w).taken_at("/" + file(w, number++).filename().string());
    if (taken < begun || taken > ended) continue;  // in parts: the storage does the rest
    all += ended - begun;
    confirming += ended - taken;
  }
  if (all > 0) out.confirming = out.seconds * confirming / all;
  return out;
}

double world::ours_by_ledger(const workload& w, int limit_s) {
  const auto verified = [&] {
    const auto page = api_->call("GET", "/v1/uploads?limit=100&state=verified", "");
    const auto& rows = page.at("uploads").as_array();  // the newest first
    return std::count_if(rows.begin(), rows.end(), [&](const json::value& row) {
      const auto* size = row.as_object().if_contains("sizeBytes");
      return size && size->to_number<long long>() == w.bytes;
    });
  };
  const auto before = verified();
  const auto began = std::chrono::steady_clock::now();
  run(w, "PT1S", true);
  wait_for(
      "the end of a large upload", [&] { return verified() >= before + w.count; }, limit_s);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

fs::path world::file(const workload& w, int number) const {
  return folder_ / "device/instances/bench/default_workspace" /
         (std::to_string(w.bytes) + "-" + std::to_string(number) + ".bin");
}
const storage_double& world::server(const workload& w) const { return std::string(w.storage) == "tls" ? tls_ : plain_; }

cost world::curl(const workload& w) {
  const auto settings = folder_ / "curl.config";
  std::ofstream out(settings);
  for (int i = 0; i < w.count; ++i)
    add_entry(out, i == 0, file(w, i), server(w).url() + "/curl/" + std::to_string(i), folder_ / "ca.pem");
  out.close();
  std::vector<std::string> command{"curl"};
  if (w.outstanding > 1) command.insert(command.end(), {"--parallel", "--parallel-max", std::to_string(w.outstanding)});
  command.insert(command.end(), {"--config", settings.string()});
  return cost_of(command);
}

cost world::curl_in_pieces(const workload& w, int pieces) {
  const auto settings = folder_ / "curl.config";
  const auto folder = folder_ / "pieces";
  if (fs::create_directories(folder))  // made once, by the first run, which is not counted
    cost_of({"split", "-n", std::to_string(pieces), "-d", "-a", "1", file(w, 0), folder / "p"});
  std::ofstream out(settings);
  for (int i = 0; i < pieces; ++i)
    add_entry(out, i == 0, folder / ("p" + std::to_string(i)), server(w).url() + "/curl/" + std::to_string(i),
              folder_ / "ca.pem");
  out.close();
  return cost_of({"curl", "--parallel", "--parallel-max", std::to_string(pieces), "--config", settings.string()});
}

cost world::digest(const workload& w) { return cost_of({"openssl", "dgst", "-sha256", file(w, 0)}); }

void world::queue(int count) {
  // A storage where nobody listens: its breaker opens at once, and all wait.
  json::object body{{"type", "AWS"},
                    {"name", "away"},
                    {"endpoint", "http://127.0.0.1:1"},
                    {"accessKeyId", "bench"},
                    {"secretAccessKey", "bench-secret"},
                    {"pathStyle", true}};
  api_->call("POST", "/v1/storage-access-services", json::serialize(body));
  run({"", "away", count, count, 1}, "PT1S", true);
}

std::uint64_t world::queued() const {
  const auto said = folder_ / "status.json";
  program asking({bin_ / "evpctl", "runtime", "status", "--data-dir", folder_ / "device"}, said, environment{});
  while (asking.running()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const auto text = text_of(said);
  fs::remove(said);
  return std::strtoull(std::string(json::parse(text).at("queue").at("files").as_string()).c_str(), nullptr, 10);
}

long world::idle_curl_pss() {
  const program idle({"curl", "--silent", "--cacert", folder_ / "ca.pem", tls_.url() + "/hang"}, "/dev/null",
                     environment{});
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  return kilobytes(idle.pid(), "smaps_rollup", "Pss:");
}

http::tls_files world::files() {
  const http::test_authority authority;
  const auto server = authority.issue("IP:127.0.0.1");
  std::ofstream(folder_ / "ca.pem") << authority.pem();
  std::ofstream(folder_ / "chain.pem") << server.certificate_pem;
  std::ofstream(folder_ / "key.pem") << server.key_pem;
  return {folder_ / "chain.pem", folder_ / "key.pem"};
}

void world::start_backend() {
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

void world::start_runtime() {
  const auto device = api_->call("POST", "/v1/devices", R"({"id":"bench"})");
  environment env{{"EVP_DATA_DIR", folder_ / "device"},
                  {"EVP_MQTT_HOST", "127.0.0.1"},
                  {"EVP_MQTT_PORT", json::serialize(facts_.at("mqtt").at("port"))},
                  {"EVP_MQTT_USERNAME", "bench"},
                  {"EVP_MQTT_PASSWORD", std::string(device.at("credentials").at("password").as_string())},
                  {"EVP_REPORT_STATUS_INTERVAL_MIN_SEC", "1"},
                  {"EVP_LIVE_BLOBS_PER_INSTANCE", "10000"},
                  {"EVP_LOG_LEVEL", "error"}};
  runtime_ = std::make_unique<program>(std::vector<std::string>{bin_ / "evp-runtime"}, folder_ / "runtime.log", env);
  wait_for("the runtime's connection",
           [&] { return api_->call("GET", "/v1/devices/bench", "").at("online").as_bool(); });
}

void world::deploy() {
  api_->call("PUT", "/v1/modules/bench-1", text_of(bin_ / "modules/bench_uploader"));
  api_->call(
      "PUT", "/v1/devices/bench/deployment",
      R"({"deploymentId":"bench-1","instanceSpecs":{"bench":{"moduleId":"bench-1","publish":{},"subscribe":{}}},)"
      R"("modules":{"bench-1":{"moduleImpl":"spawn","entryPoint":"main"}}})");
  wait_for("the start of the module", [&] {
    const auto state = json::serialize(api_->call("GET", "/v1/devices/bench/state", "", true));
    return state.find(R"("status":"ok")") != std::string::npos;
  });
}

}  // namespace evp::bench
