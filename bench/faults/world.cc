#include "world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <set>

namespace evp::bench {
namespace {

namespace fs = io::fs;

constexpr double usual_harms = 0.03, storm_harms = 0.6;  // of 1: exchanges with the storage
constexpr const char* grant_lifetime = "PT10S";
constexpr const char* disk_options = "size=512m,mode=0711";

std::set<pid_t> children_of(pid_t pid) {
  std::set<pid_t> all;
  std::error_code gone;
  for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    std::ifstream in(thread.path() / "children");
    for (pid_t child; in >> child;) all.insert(child);
  }
  return all;
}

std::map<std::string, std::string> assignments(const fs::path& file) {
  std::map<std::string, std::string> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (const auto at = line.find('='); at != line.npos) all[line.substr(0, at)] = line.substr(at + 1);
  return all;
}

bool is_installed(const char* name) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"})
    if (fs::exists(std::string(folder) + name)) return true;
  return false;
}

}  // namespace

world::world(const place& p, std::uint64_t seed)
    : place_(p), is_root_(::geteuid() == 0), bin_(fs::read_symlink("/proc/self/exe").parent_path()), sky_(seed) {
  for (const char* needed : {"radosgw", "ceph-mon", "ceph-osd", "mosquitto"})
    if (!is_installed(needed)) give_up(std::string(needed) + " is missing: run tools/install_packages build test");
  if (is_root_) make_network();
  start_storage();
  sky_.set(0);
  storage_relay_ = std::make_unique<relay>(device_host_, &sky_);
  rest_relay_ = std::make_unique<relay>(device_host_, nullptr);
  mqtt_relay_ = std::make_unique<relay>(device_host_, nullptr);
  storage_relay_->aim(gateway_port_);
}

world::~world() {
  stop_device();
  gateway_.reset();
  cost_of({EVP_FIXTURES "/rgw/stop", place_.folder / "rgw"});
}

void world::make_network() {
  const auto name = place_.network(), ours = place_.link() + "a", theirs = place_.link() + "b";
  const auto net = "198.18." + std::to_string(place_.number % 256) + ".";  // for tests of networks: RFC 2544
  cost_of({"ip", "netns", "add", name});
  cost_of({"ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name});
  cost_of({"ip", "address", "add", net + "1/30", "dev", ours});
  cost_of({"ip", "link", "set", ours, "up"});
  cost_of({"ip", "-n", name, "address", "add", net + "2/30", "dev", theirs});
  cost_of({"ip", "-n", name, "link", "set", theirs, "up"});
  cost_of({"ip", "-n", name, "link", "set", "lo", "up"});
  device_host_ = net + "1";
}

std::vector<std::string> world::on_device(std::vector<std::string> command) const {
  if (is_root_) command.insert(command.begin(), {"nsenter", "--net=/run/netns/" + place_.network(), "--"});
  return command;
}

void world::start_storage() {
  const auto folder = place_.folder / "rgw";
  program start({EVP_FIXTURES "/rgw/start", folder}, place_.folder / "rgw.log", {});
  wait_for(
      "the start of the storage (rgw.log)", [&] { return !start.running(); }, 120);
  auto facts = assignments(folder / "env");
  if (!facts.contains("RGW_HTTP")) give_up("Ceph RGW did not start: " + text_of(place_.folder / "rgw.log"));
  storage_ = {facts["RGW_HTTP"].substr(std::string("http://").size()), facts["RGW_ACCESS_KEY"],
              facts["RGW_SECRET_KEY"]};
  gateway_port_ = std::uint16_t(std::stoi(storage_.authority.substr(storage_.authority.find(':') + 1)));
  // From now on the gateway is a child of this process: so it can be killed and started again.
  ::kill(pid_t(std::stoi(text_of(folder / "run/client.rgw.pid"))), SIGKILL);
  start_gateway();
}

void world::start_gateway() {
  const auto conf = (place_.folder / "rgw/ceph.conf").string();
  gateway_ = std::make_unique<program>(std::vector<std::string>{"radosgw", "-f", "-n", "client.rgw", "-c", conf},
                                       place_.folder / "gateway.log", environment{});
}

void world::start_backend() {
  const auto data = place_.folder / "backend";
  fs::create_directories(data);
  fs::remove(data / "ready.json");
  backend_ready_ = false;
  backend_ = std::make_unique<program>(
      std::vector<std::string>{bin_ / "evp-backend", "--data", data, "--listen", "127.0.0.1:0", "--mqtt-listen",
                               "127.0.0.1:0", "--public-url", "http://" + rest_relay_->authority(),
                               "--allowed-endpoint-networks", "127.0.0.0/8,198.18.0.0/15", "--log-level", "warning"},
      place_.folder / "backend.log", environment{});
}

rest world::api() {
  const auto data = place_.folder / "backend";
  wait_for("the start of evp-backend", [&] { return tick(), backend_ready_; });
  const auto facts = json::parse(text_of(data / "ready.json"));
  return {std::string(facts.at("rest").as_string()), text_of(data / "admin.token")};
}

void world::start_device(const std::string& order, const fs::path& records) {
  start_backend();
  auto backend = api();
  wait_for("the start of the S3 gateway", [&] { return tick(), listens(gateway_port_); });
  const json::object service{{"type", "AWS"},
                             {"provider", "ceph"},
                             {"endpoint", "http://" + storage_relay()},
                             {"accessKeyId", storage_.key},
                             {"secretAccessKey", storage_.secret_key},
                             {"expirationDuration", grant_lifetime}};
  backend.call("POST", "/v1/storage-access-services", json::serialize(service));
  wait_for("the first use of the storage", [&] {  // makes the bucket, and with it Ceph its pools, which takes a while
    return backend.call("POST", "/v1/storage-access-services/default/test", "{}").at("ok").as_bool();
  });
  const auto device = backend.call("POST", "/v1/devices", R"({"id":"faults"})");
  backend.call("PUT", "/v1/modules/faults-1", text_of(bin_ / "modules/fault_uploader"));
  backend.call(
      "PUT", "/v1/devices/faults/deployment",
      R"({"deploymentId":"1","instanceSpecs":{"uploader":{"moduleId":"faults-1","publish":{},"subscribe":{}}},)"
      R"("modules":{"faults-1":{"moduleImpl":"spawn","entryPoint":"main"}}})");
  const json::object value{{"value", order + " " + records.string()}};
  backend.call("PUT", "/v1/devices/faults/configuration/uploader/order", json::serialize(value));

  fs::create_directories(place_.device());
  if (is_root_ && ::mount("evp-faults", place_.device().c_str(), "tmpfs", 0, disk_options) != 0)
    give_up("can't mount a small disk on " + place_.device().string());
  runtime_settings_ = {{"EVP_DATA_DIR", place_.device()},
                       {"EVP_MQTT_HOST", device_host_},
                       {"EVP_MQTT_PORT", std::to_string(mqtt_relay_->port())},
                       {"EVP_MQTT_USERNAME", "faults"},
                       {"EVP_MQTT_PASSWORD", std::string(device.at("credentials").at("password").as_string())},
                       {"EVP_LOG_LEVEL", "info"}};
  start_runtime();
}

void world::rage() { end(fault::storm); }

void world::start_runtime() {
  runtime_ =
      std::make_unique<program>(on_device({bin_ / "evp-runtime"}), place_.folder / "runtime.log", runtime_settings_);
}

void world::stop_device() {
  runtime_.reset();
  backend_.reset();
}

bool world::begin(fault what) {
  active_[std::size_t(what)] = true;
  const auto kill = [](program& p) {
    const bool is_there = p.running();
    p.kill();
    return is_there;
  };
  switch (what) {
    case fault::runtime: return kill(*runtime_);
    case fault::backend: return kill(*backend_);
    case fault::gateway: return kill(*gateway_);
    case fault::network: link(false); return true;
    case fault::storm: sky_.set(storm_harms); return true;
    case fault::disk: return fill_disk();
    case fault::broker: break;
  }
  const auto brokers = backend_->running() ? children_of(backend_->pid()) : std::set<pid_t>();
  for (const auto broker : brokers) ::kill(broker, SIGKILL);
  return !brokers.empty();
}

void world::end(fault what) {
  active_[std::size_t(what)] = false;
  switch (what) {
    case fault::runtime: start_runtime(); break;
    case fault::backend: start_backend(); break;
    case fault::broker: break;  // the backend does it
    case fault::gateway: start_gateway(); break;
    case fault::network: link(true); break;
    case fault::storm: sky_.set(usual_harms); break;
    case fault::disk: fs::remove(place_.device() / "ballast"); break;
  }
}

void world::calm() {
  for (std::size_t i = 0; i < active_.size(); ++i)
    if (active_[i]) end(fault(i));
  sky_.set(0);
  tick();
}

void world::link(bool is_up) {
  if (!is_root_) {
    for (auto* r : {storage_relay_.get(), rest_relay_.get(), mqtt_relay_.get()}) r->cut(!is_up);
    return;
  }
  // At either end: the device loses its link and knows, or its packets get nowhere.
  static bool at_device = false;
  if (!is_up) at_device = sky_.pick(1) == 0;
  const std::string state = is_up ? "up" : "down";
  if (at_device) cost_of({"ip", "-n", place_.network(), "link", "set", place_.link() + "b", state});
  if (!at_device) cost_of({"ip", "link", "set", place_.link() + "a", state});
}

/// To the last byte; called again, what was freed meanwhile.
bool world::fill_disk() {
  if (!is_root_) return false;
  struct statvfs disk {};
  const io::unique_fd ballast(::open((place_.device() / "ballast").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  struct stat have {};
  if (!ballast || ::fstat(ballast.get(), &have) != 0 || ::fstatvfs(ballast.get(), &disk) != 0) return false;
  for (auto more = off_t(disk.f_bavail * disk.f_frsize); more > 0; more /= 2)
    if (::fallocate(ballast.get(), 0, have.st_size, more) == 0) break;
  return true;
}

void world::tick() {
  const auto is_down = [this](fault what) { return active_[std::size_t(what)]; };
  const auto data = place_.folder / "backend";
  if (backend_ && !backend_ready_ && fs::exists(data / "ready.json")) {
    const auto facts = json::parse(text_of(data / "ready.json"));
    const std::string url(facts.at("rest").as_string());
    rest_relay_->aim(std::uint16_t(std::stoi(url.substr(url.rfind(':') + 1))));
    mqtt_relay_->aim(facts.at("mqtt").at("port").to_number<std::uint16_t>());
    backend_ready_ = true;
  }
  if (is_down(fault::disk)) fill_disk();
  if (backend_ && !is_down(fault::backend) && !backend_->running()) ++ended_by_itself_, start_backend();
  if (!is_down(fault::gateway) && !gateway_->running()) start_gateway();
  if (runtime_ && !is_down(fault::runtime) && !runtime_->running()) {
    if (!is_down(fault::disk)) ++ended_by_itself_;
    start_runtime();
  }
}

void clean_up(const place& p, bool keep_logs) {
  // Whoever is killed may leave children, which come to us in turn.
  for (auto left = children_of(::getpid()); !left.empty(); left = children_of(::getpid())) {
    for (const auto child : left) ::kill(child, SIGKILL);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
    std::this_thread::sleep_for(milliseconds(10));
  }
  if (::geteuid() == 0) {
    ::umount2(p.device().c_str(), MNT_DETACH);
    // The link first: connections that are not quite closed keep a namespace alive for a while.
    if (fs::exists("/sys/class/net/" + p.link() + "a")) cost_of({"ip", "link", "delete", p.link() + "a"});
    if (fs::exists("/run/netns/" + p.network())) cost_of({"ip", "netns", "delete", p.network()});
  }
  std::error_code ignored;
  for (const char* large : {"rgw", "device", "curl"}) fs::remove_all(p.folder / large, ignored);
  if (!keep_logs) fs::remove_all(p.folder, ignored);
}

}  // namespace evp::bench
