#include "servers.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <thread>

#include "base/crypto.h"

namespace {

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
  const std::string fixtures = EVP_FIXTURES, installed = EVP_AZURITE;
  int azurite = -1;
  std::thread beside([&] {
    azurite = run("'" + fixtures + "/azurite/install' '" + installed + "' && '" + fixtures + "/azurite/start' '" +
                  (run_folder / "azurite").string() + "' '" + installed + "'");
  });
  const int rgw = run("'" + fixtures + "/rgw/start' '" + (run_folder / "rgw").string() + "'");
  const int doubles = run("'" EVP_DOUBLES "/start' '" + (run_folder / "doubles").string() + "'");
  beside.join();
  if (azurite != 0 || rgw != 0 || doubles != 0) {
    std::fprintf(stderr, "conformance: %s did not start\n",
                 azurite != 0 ? "Azurite"
                 : rgw != 0   ? "Ceph RGW"
                              : "the vendors' doubles");
    TearDown();
    std::exit(1);  // not GoogleTest's way, which would call every test skipped
  }
  read_values(run_folder / "azurite" / "env");
  read_values(run_folder / "rgw" / "env");
  read_values(run_folder / "doubles" / "env");
}

void servers::TearDown() {
  const std::string fixtures = EVP_FIXTURES;
  EXPECT_EQ(run("'" + fixtures + "/azurite/stop' '" + (run_folder / "azurite").string() + "'"), 0);
  EXPECT_EQ(run("'" + fixtures + "/rgw/stop' '" + (run_folder / "rgw").string() + "'"), 0);
  EXPECT_EQ(run("'" EVP_DOUBLES "/stop' '" + (run_folder / "doubles").string() + "'"), 0);
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
