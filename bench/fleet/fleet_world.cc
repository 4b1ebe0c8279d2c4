// What evp-fleet measures: the real evp-backend, and the echo.
#include "fleet_world.h"

#include <sqlite3.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <cstdio>
#include <fstream>

#include "base/crypto.h"
#include "base/encoding.h"
#include "progress.h"
#include "rest_load.h"

namespace evp::bench {

namespace fs = io::fs;

namespace {

constexpr int start_limit_s = 180;
constexpr std::size_t registering_at_once = 32;

std::string digest(const identity& who) { return to_hex(sha256(who.token)); }

class statement {
 public:
  statement(sqlite3* db, const char* text) : db_(db) {
    if (sqlite3_prepare_v2(db, text, -1, &s_, nullptr) != SQLITE_OK) failed();
  }
  ~statement() { sqlite3_finalize(s_); }
  statement(const statement&) = delete;
  void run(std::initializer_list<std::string_view> texts) {
    int at = 0;
    for (const auto t : texts) sqlite3_bind_text(s_, ++at, t.data(), int(t.size()), SQLITE_TRANSIENT);
    if (sqlite3_step(s_) != SQLITE_DONE) failed();
    sqlite3_reset(s_);
  }

 private:
  [[noreturn]] void failed() { give_up(std::string("the backend's database: ") + sqlite3_errmsg(db_)); }
  sqlite3* db_;
  sqlite3_stmt* s_ = nullptr;
};

}  // namespace

pid_t first_child(pid_t pid) {
  const auto name = std::to_string(pid);
  return pid_t(std::atoi(text_of("/proc/" + name + "/task/" + name + "/children").c_str()));
}

backend_world::backend_world(fs::path folder, fs::path programs)
    : folder_(std::move(folder)), programs_(std::move(programs)) {
  fs::create_directories(folder_);
}

double backend_world::start() {
  const bool is_first = !fs::exists(folder_ / "admin.token");
  const auto log = folder_ / "backend.log";
  const auto began = std::chrono::steady_clock::now();
  program_ = std::make_unique<program>(
      std::vector<std::string>{programs_ / "evp-backend", "--data", folder_, "--listen", "127.0.0.1:0", "--mqtt-listen",
                               "127.0.0.1:0", "--log-level", "warning"},
      log, environment{});
  wait_for(
      "the start of evp-backend", [&] { return fs::exists(folder_ / "ready.json") || !program_->running(); },
      start_limit_s);
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (!program_->running()) give_up("evp-backend ended: " + text_of(log));
  const auto facts = json::parse(text_of(folder_ / "ready.json"));
  const auto url = std::string(facts.at("rest").as_string());
  rest_port_ = std::uint16_t(std::stoi(url.substr(url.rfind(':') + 1)));
  mqtt_port_ = facts.at("mqtt").at("port").to_number<std::uint16_t>();
  token_ = text_of(folder_ / "admin.token");
  while (token_.ends_with('\n')) token_.pop_back();
  api_ = std::make_unique<rest>(url, token_);
  if (is_first)  // grants that outlive every measurement
    api_->call("POST", "/v1/storage-access-services",
               std::string(R"({"type":"LOCAL","name":")") + storage + R"(","expirationDuration":"PT1H"})");
  return seconds;
}

std::vector<identity> backend_world::register_devices(loop& l, std::size_t count) {
  std::vector<identity> out(count);
  progress shown("registering", count);
  std::size_t done = 0;
  rest_many(
      l, rest_port_, token_, count, std::min(count, registering_at_once),
      [](std::size_t i) {
        return rest_request{"POST", "/v1/devices", R"({"id":"cam-)" + std::to_string(i) + "\"}"};
      },
      [&](std::size_t i, std::string_view body) {
        const auto device = json::parse(body);
        const auto& credentials = device.at("credentials").as_object();
        out[i] = {std::string(credentials.at("username").as_string()),
                  std::string(credentials.at("password").as_string())};
        shown.at(++done);
      });
  return out;
}

void backend_world::insert_devices(const std::vector<identity>& all) {
  sqlite3* db = nullptr;
  if (sqlite3_open((folder_ / "backend.db").c_str(), &db) != SQLITE_OK) give_up("can't open the backend's database");
  {
    progress shown("inserting", all.size());
    statement begin(db, "BEGIN"), commit(db, "COMMIT");
    statement device(db, "INSERT INTO devices (id, token_sha256, blocked, created_at) VALUES (?, ?, 0, 1763900000000)");
    statement report(
        db,
        "INSERT INTO device_reports (device, dialect, system_info, deployment_status, telemetry, telemetry_at, "
        "updated_at) VALUES (?, 'EVP2-TB', ?, ?, '', 0, 1763900000000)");
    begin.run({});
    std::size_t done = 0;
    for (const auto& who : all) {
      device.run({who.id, digest(who)});
      report.run({who.id, fleet::system_info, fleet::deployment_status});
      shown.at(++done);
    }
    commit.run({});
  }
  sqlite3_close(db);
}

echo_world::echo_world(const fs::path& folder, const fs::path& programs, const std::vector<identity>& devices,
                       std::size_t answer_bytes) {
  fs::create_directories(folder);
  std::ofstream list(folder / "devices");
  for (const auto& who : devices) list << who.id << ' ' << digest(who) << '\n';
  list.close();
  const auto log = folder / "echo.log";
  program_ = std::make_unique<program>(
      std::vector<std::string>{programs / "evp-fleet-echo", folder,
                               programs.parent_path() / "lib" / "evp_broker_plugin.so", std::to_string(answer_bytes)},
      log, environment{});
  wait_for("the start of evp-fleet-echo", [&] { return fs::exists(folder / "ready.json") || !program_->running(); });
  if (!program_->running()) give_up("evp-fleet-echo ended: " + text_of(log));
  mqtt_port_ = json::parse(text_of(folder / "ready.json")).at("port").to_number<std::uint16_t>();
}

std::vector<identity> make_identities(std::size_t first, std::size_t count) {
  std::vector<identity> out;
  out.reserve(count);
  for (auto i = first; i < first + count; ++i) out.push_back({"bulk-" + std::to_string(i), random_id(32)});
  return out;
}

}  // namespace evp::bench
