// evpctl runtime status: what people see, and what a runtime that is not there means.
#include "cli/runtime_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/evpctl.h"

namespace evp::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

wire::runtime_status busy() {
  wire::runtime_status s;
  s.version = "0.1.0";
  s.connected = true;
  s.up = std::chrono::hours(26);
  s.files = 3, s.files_max = 10'000, s.bytes = 3 << 20, s.bytes_max = 64ULL << 30;
  s.moved = 10 << 20;
  s.since_start.accepted = 12;
  s.transfers = {{7, "camera", "day/a.jpg", "", true, 1 << 20, 4 << 20, milliseconds(2000)},
                 {8, "camera", "evil\x1b[2J", "", false, 100, 0, milliseconds(0)}};
  s.storages = {{"archive", 5, 1, true}};
  s.failures = {{timestamp(milliseconds(1'798'826'833'000)), 6, "camera", "", "the storage answered 404"}};
  return s;
}

std::string shown(const wire::runtime_status& s, double rate = -1) {
  std::ostringstream out;
  print_status(out, s, 100, rate);
  return out.str();
}

TEST(runtime_status, shows_queue_transfers_storages_and_failures) {
  const auto text = shown(busy(), 1536);
  EXPECT_THAT(text, HasSubstr("evp-runtime 0.1.0, up 1 d 02 h, connected to the broker"));
  EXPECT_THAT(text, HasSubstr("queue: 3 of 10000 files, 3.0 MiB of 64.0 GiB"));
  EXPECT_THAT(text, HasSubstr("transfers, 1.5 KiB/s together:"));
  EXPECT_THAT(text, HasSubstr("up   [##########..............................]  25%    1.0 MiB of    4.0 MiB  512.0 "
                              "KiB/s  camera/day/a.jpg"));
  EXPECT_THAT(text, HasSubstr("down [........................................]    ?"));
  EXPECT_THAT(text, HasSubstr("storage archive: 5 waiting, 1 active, PAUSED"));
  EXPECT_THAT(text, HasSubstr("2027-01-01T18:07:13Z  camera/#6  the storage answered 404"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(runtime_status, says_when_the_broker_is_away) {
  auto s = busy();
  s.connected = false;
  EXPECT_THAT(shown(s), HasSubstr("NOT connected"));
}

class runtime_status_command : public testing::Test {
 protected:
  int run(std::vector<const char*> words) {
    words.insert(words.begin(), "evpctl");
    std::istringstream in;
    surroundings s{
        in,
        out,
        err,
        terminal,
        [](const char* name) -> const char* { return std::string(name) == "EVP_DATA_DIR" ? "/data" : nullptr; },
        [](http::request) -> result<http::response> { return fail(errc::internal, "no request is needed"); }};
    s.read_socket = [this](const std::string& path) -> result<std::string> {
      asked.push_back(path);
      if (asked.size() > answers.size()) return fail(errc::unavailable, "no evp-runtime runs");
      return answers[asked.size() - 1];
    };
    s.wait = [](milliseconds) { return true; };
    return cli::run(int(words.size()), words.data(), s);
  }
  bool terminal = true;
  std::vector<std::string> asked, answers;
  std::ostringstream out, err;
};

TEST_F(runtime_status_command, asks_the_runtime_of_the_data_directory) {
  answers = {wire::encode(busy())};
  EXPECT_EQ(run({"runtime", "status"}), ok);
  EXPECT_EQ(asked, std::vector<std::string>{"/data/status.sock"});
  EXPECT_THAT(out.str(), HasSubstr("camera/day/a.jpg"));
}

TEST_F(runtime_status_command, prints_json_for_programs) {
  terminal = false;
  answers = {wire::encode(busy())};
  EXPECT_EQ(run({"runtime", "status", "--data-dir", "/elsewhere"}), ok);
  EXPECT_EQ(asked.at(0), "/elsewhere/status.sock");
  EXPECT_EQ(out.str(), answers[0]);
}

TEST_F(runtime_status_command, watches_with_the_rate_between_two_looks) {
  auto later = busy();
  later.up += milliseconds(1000);
  later.moved += 2048;
  answers = {wire::encode(busy()), wire::encode(later)};
  EXPECT_EQ(run({"runtime", "status", "--watch"}), unreachable) << "the runtime has ended";
  EXPECT_THAT(out.str(), HasSubstr("2.0 KiB/s together"));
  EXPECT_THAT(err.str(), HasSubstr("no evp-runtime runs"));
}

TEST_F(runtime_status_command, a_status_that_cannot_be_read_is_an_error) {
  answers = {"{}"};
  EXPECT_EQ(run({"runtime", "status"}), server_error);
}

TEST(read_unix_socket, of_nobody_says_what_is_wrong) {
  const auto none = read_unix_socket("/nonexistent/status.sock");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr("no evp-runtime runs"));
  EXPECT_FALSE(read_unix_socket(std::string(200, 'x')));
}

}  // namespace
}  // namespace evp::cli
