#include "servers.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string_view>
#include <thread>
#include <vector>

#include "base/crypto.h"

namespace {

constexpr std::string_view fixture_names[] = {"azurite", "doubles", "nginx", "rgw", "swift", "webhook"};

/// Where a fixture's start and stop lie.
std::string scripts_of(const std::string& name) {
  return name == "doubles" ? EVP_DOUBLES : std::string(EVP_FIXTURES) + "/" + name;
}

std::filesystem::path run_folder;
std::map<std::string, std::string> values;

int run(const std::string& command) { return std::system(command.c_str()); }

void read_values(const std::filesystem::path& file) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (const auto equals = line.find('='); equals != line.npos)
      values[line.substr(0, equals)] = line.substr(equals + 1);
}

}  // namespace

void servers::SetUp() {
  run_folder = std::filesystem::temp_directory_path() / ("evp-conformance-" + evp::random_id(10));
  std::filesystem::create_directories(run_folder);
  const std::string installed = EVP_AZURITE;
  std::map<std::string, int> outcome;  // before the threads: each has a place of its own
  for (const auto name : fixture_names) outcome[std::string(name)] = -1;
  std::vector<std::thread> starting;
  for (auto& [name, status] : outcome) {
    auto command = "'" + scripts_of(name) + "/start' '" + (run_folder / name).string() + "'";
    if (name == "azurite")
      command = "'" + scripts_of(name) + "/install' '" + installed + "' && " + command + " '" + installed + "'";
    starting.emplace_back([command, &status = status] { status = run(command); });
  }
  for (auto& t : starting) t.join();
  bool all = true;
  for (const auto& [name, status] : outcome) {
    if (status == 0) {
      read_values(run_folder / name / "env");
      continue;
    }
    std::fprintf(stderr, "conformance: %s did not start\n", name.c_str());
    all = false;
  }
  if (all) return;
  TearDown();
  std::exit(1);  // not GoogleTest's way, which would call every test skipped
}

void servers::TearDown() {
  for (const auto name : fixture_names) {
    const std::string n(name);
    EXPECT_EQ(run("'" + scripts_of(n) + "/stop' '" + (run_folder / n).string() + "'"), 0);
  }
  std::filesystem::remove_all(run_folder);
}

std::string servers::value(const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) {
    std::fprintf(stderr, "conformance: no start script has given %s\n", name.c_str());
    std::exit(1);
  }
  return found->second;
}

std::filesystem::path servers::folder() { return run_folder; }
