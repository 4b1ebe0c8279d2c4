// evpctl: which request each command sends, what it shows, and its exit status.
#include "cli/evpctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "cli/commands.h"
#include "io/files.h"

namespace evp::cli {
namespace {

using testing::HasSubstr;

class evpctl : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "evpctl_" + std::to_string(::getpid());
    ASSERT_TRUE(io::make_directories(folder_));
    token_ = file("token", "the-admin-token\n");
  }
  void TearDown() override { io::fs::remove_all(folder_); }

  std::string file(const std::string& name, std::string_view text) {
    EXPECT_TRUE(io::write_file_durably(folder_ + "/" + name, text));
    return folder_ + "/" + name;
  }
  int run(std::vector<std::string> words) {
    words.insert(words.begin(), {"evpctl", "--token-file", token_});
    std::vector<const char*> argv;
    for (const auto& w : words) argv.push_back(w.c_str());
    std::istringstream in(input);
    out.str("");
    err.str("");
    sent.reset();
    surroundings s{in,
                   out,
                   err,
                   terminal,
                   [](const char*) { return nullptr; },
                   [this](http::request r) {
                     sent = std::move(r);
                     if (sent->response_fd >= 0) {
                       EXPECT_EQ(::write(sent->response_fd, stream.data(), stream.size()), ssize_t(stream.size()));
                     }
                     return answer;
                   }};
    return cli::run(int(argv.size()), argv.data(), s);
  }
  std::string url() const { return sent ? sent->url.reveal() : ""; }
  std::string body() const { return sent ? std::get<std::string>(sent->body) : ""; }

  std::string folder_, token_, input, stream;
  bool terminal = false;
  result<http::response> answer = http::response{.status = 200, .body = "{}"};
  std::optional<http::request> sent;
  std::ostringstream out, err;
};

TEST_F(evpctl, sends_the_token_as_a_bearer_and_names_in_the_path_encoded) {
  EXPECT_EQ(run({"device", "get", "cam 1/x"}), ok);
  EXPECT_EQ(sent->method, "GET");
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/devices/cam%201%2Fx");
  EXPECT_EQ(http::find(sent->fields, "Authorization"), "Bearer the-admin-token");
}

TEST_F(evpctl, health_needs_no_token) {
  token_ = folder_ + "/missing";
  EXPECT_EQ(run({"health"}), ok);
  EXPECT_EQ(http::find(sent->fields, "Authorization"), "");
  EXPECT_EQ(run({"device", "list"}), usage);
  EXPECT_FALSE(sent);
  EXPECT_THAT(err.str(), HasSubstr("EVP_TOKEN_FILE"));
}

TEST_F(evpctl, a_service_is_made_of_a_file_flags_and_secret_files) {
  const auto base = file("base.json", R"({"type":"AWS","region":"eu-west-1"})");
  const auto key = file("key", "s3cr3t\n");
  EXPECT_EQ(run({"service", "create", "--file", base, "--name", "archive", "--set", "bucket=b=1", "--set",
                 "pathStyle=true", "--set-file", "secretAccessKey=" + key, "--header", "x-a=1"}),
            ok);
  EXPECT_EQ(sent->method, "POST");
  EXPECT_EQ(
      body(),
      R"({"type":"AWS","region":"eu-west-1","name":"archive","bucket":"b=1","pathStyle":true,"secretAccessKey":"s3cr3t","headers":{"x-a":"1"}})");
}

TEST_F(evpctl, a_secret_on_the_command_line_is_refused) {
  EXPECT_EQ(run({"service", "create", "--type", "AZURE", "--set", "connectionString=abc"}), usage);
  EXPECT_FALSE(sent);
  EXPECT_THAT(err.str(), HasSubstr("--set-file connectionString=FILE"));
}

TEST_F(evpctl, bodies_come_from_standard_input_too) {
  input = R"({"instanceSpecs":{},"modules":{}})";
  EXPECT_EQ(run({"deployment", "set", "cam-1", "--file", "-"}), ok);
  EXPECT_EQ(sent->method, "PUT");
  EXPECT_EQ(body(), input);
  EXPECT_EQ(run({"deployment", "set", "cam-1"}), usage);
}

TEST_F(evpctl, configuration_and_commands_make_their_bodies) {
  EXPECT_EQ(run({"config", "set", "cam-1", "up", "a/b", "v"}), ok);
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/devices/cam-1/configuration/up/a/b");
  EXPECT_EQ(body(), R"({"value":"v"})");
  EXPECT_EQ(run({"config", "set", "cam-1", "up", "a"}), usage);

  EXPECT_EQ(run({"command", "send", "cam-1", "up", "shoot", R"({"n":2})", "--time-limit", "PT5S"}), ok);
  EXPECT_EQ(body(), R"({"params":{"n":2},"timeLimit":"PT5S"})");
  EXPECT_EQ(run({"command", "send", "cam-1", "up", "shoot", "{n}"}), usage);
}

TEST_F(evpctl, a_module_is_streamed_from_its_file) {
  EXPECT_EQ(run({"module", "upload", "m1", file("m1.bin", "12345")}), ok);
  EXPECT_EQ(std::get<http::file_range>(sent->body).length, 5u);
  EXPECT_EQ(run({"module", "upload", "m1", "/nowhere"}), usage);
}

TEST_F(evpctl, filters_become_a_query) {
  EXPECT_EQ(run({"upload", "list", "--device", "cam&1", "--state", "verified"}), ok);
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/uploads?device=cam%261&state=verified");
}

TEST_F(evpctl, a_pipe_gets_json_and_a_terminal_a_table) {
  answer->body =
      "{\"devices\":[{\"id\":\"c\\u001b1\",\"online\":true,\"blocked\":false,\"createdAt\":\"t\"}],\"nextCursor\":"
      "\"n\"}\n";
  EXPECT_EQ(run({"device", "list"}), ok);
  EXPECT_EQ(out.str(), answer->body);
  terminal = true;
  EXPECT_EQ(run({"device", "list"}), ok);
  EXPECT_EQ(out.str(), "ID   ONLINE  BLOCKED  GROUP  CREATED\nc?1  yes     no       -      t\nmore with --cursor n\n");
  EXPECT_EQ(run({"--json", "device", "list"}), ok);
  EXPECT_EQ(out.str(), answer->body);
}

TEST_F(evpctl, a_hook_is_made_of_flags_and_its_secret_of_a_file) {
  const auto key = file("key", std::string(32, 'k') + "\n");
  EXPECT_EQ(run({"hook", "set", "erp", "--url", "https://e.example/", "--secret-file", key, "--states",
                 "verified,failed", "--services", "default"}),
            ok);
  EXPECT_EQ(sent->method, "PUT");
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/hooks/erp");
  EXPECT_EQ(body(), R"({"url":"https://e.example/","secret":")" + std::string(32, 'k') +
                        R"(","services":["default"],"states":["verified","failed"]})");
}

TEST_F(evpctl, a_change_of_provider_sends_what_it_was_told_and_nothing_else) {
  EXPECT_EQ(run({"service", "change", "default", "--to", "azure", "--percent", "5", "--error-percent", "2", "--window",
                 "PT1M"}),
            ok);
  EXPECT_EQ(sent->method, "PUT");
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/storage-access-services/default/change");
  EXPECT_EQ(body(), R"({"to":"azure","percent":5,"fallBack":{"errorPercent":2,"window":"PT1M"}})");
  EXPECT_EQ(run({"service", "change", "default", "--percent", "0", "--shadow", "on"}), ok);
  EXPECT_EQ(body(), R"({"percent":0,"shadow":true})");
  EXPECT_EQ(run({"service", "change", "default", "--shadow", "perhaps"}), usage);
  EXPECT_EQ(run({"service", "change", "default", "--percent", "half"}), usage);
  EXPECT_EQ(run({"service", "change-back", "default"}), ok);
  EXPECT_EQ(sent->method + url(), "POSThttp://127.0.0.1:8080/v1/storage-access-services/default/change/back");
}

TEST_F(evpctl, watched_uploads_are_shown_as_they_come_and_the_end_says_how_to_go_on) {
  stream =
      ": open\nid: 4\n\nid: 5\ndata: "
      "{\"sequence\":5,\"state\":\"failed\",\"device\":\"c\\u001b1\",\"reason\":\"gone\"}\n\n"
      ": nothing else\nid: 7\n\nevent: gap\ndata: {\"after\":1}\n\nid: 8\ndata: {\"cut";
  EXPECT_EQ(run({"upload", "watch", "--device", "c 1", "--after", "3"}), unreachable);
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/uploads/events?device=c%201");
  EXPECT_EQ(http::find(sent->fields, "Last-Event-ID"), "3");
  EXPECT_EQ(out.str(), "{\"sequence\":5,\"state\":\"failed\",\"device\":\"c\\u001b1\",\"reason\":\"gone\"}\n");
  EXPECT_THAT(err.str(), HasSubstr("no more"));
  EXPECT_THAT(err.str(), HasSubstr("--after 7\n"));
  terminal = true;
  run({"upload", "watch"});
  EXPECT_EQ(out.str(), "5  -  failed  c?1  -  -  gone\n");
}

TEST_F(evpctl, a_refused_watch_tells_why) {
  answer = http::response{.status = 429, .body = R"({"error":{"code":"rate_limited","message":"too many"}})"};
  terminal = true;
  EXPECT_EQ(run({"upload", "watch"}), refused);
  EXPECT_THAT(err.str(), HasSubstr("too many"));
}

TEST_F(evpctl, the_exit_status_tells_who_failed) {
  answer =
      http::response{.status = 404, .body = R"({"error":{"code":"not_found","message":"no device x","field":"id"}})"};
  terminal = true;
  EXPECT_EQ(run({"device", "get", "x"}), refused);
  EXPECT_EQ(err.str(), "evpctl: no device x (not_found, field id)\n");
  answer->status = 503;
  EXPECT_EQ(run({"device", "get", "x"}), server_error);
  answer = http::response{
      .status = 200,
      .body =
          R"({"ok":false,"steps":[{"name":"put","ok":false,"tookMillis":1,"error":{"code":"x","message":"denied"}}]})"};
  EXPECT_EQ(run({"service", "test", "x"}), refused);
  EXPECT_THAT(out.str(), HasSubstr("denied"));
  answer = fail(errc::unavailable, "connection refused");
  EXPECT_EQ(run({"device", "get", "x"}), unreachable);
  EXPECT_EQ(run({"device", "dance"}), usage);
  EXPECT_EQ(run({}), usage);
  EXPECT_EQ(run({"--help"}), ok);
  EXPECT_THAT(out.str(), HasSubstr("Exit status"));
}

TEST(command_table, each_command_occurs_once_and_has_a_known_group) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const auto& c : commands()) {
    EXPECT_TRUE(seen.emplace(c.group, c.verb).second) << c.group << " " << c.verb;
    bool known = c.verb.empty();
    for (const auto& g : groups()) known = known || g.name == c.group;
    EXPECT_TRUE(known) << c.group;
  }
}

TEST_F(evpctl, a_policy_is_made_of_a_file_and_flags) {
  const auto f = file("policy.json", R"({"maxSize": 5, "operations": ["put"]})");
  EXPECT_EQ(run({"policy", "set-group", "cams", "--file", f, "--max-size", "10", "--storages", "a,b", "--name-template",
                 "{device}/{name}"}),
            ok);
  EXPECT_EQ(sent->method, "PUT");
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/device-groups/cams/policy");
  EXPECT_EQ(body(), R"({"maxSize":10,"operations":["put"],"storages":["a","b"],"nameTemplate":"{device}/{name}"})");
  EXPECT_EQ(run({"policy", "set", "--bytes-per-day", "many"}), usage);
  EXPECT_THAT(err.str(), HasSubstr("--bytes-per-day"));
  EXPECT_EQ(run({"policy", "effective", "cam-1"}), ok);
  EXPECT_EQ(url(), "http://127.0.0.1:8080/v1/devices/cam-1/policy?effective=true");
}

TEST_F(evpctl, a_device_is_put_into_a_group_and_out_of_it) {
  EXPECT_EQ(run({"device", "set-group", "cam-1", "cams"}), ok);
  EXPECT_EQ(sent->method, "PUT");
  EXPECT_EQ(body(), R"({"group":"cams"})");
  EXPECT_EQ(run({"device", "set-group", "cam-1"}), ok);
  EXPECT_EQ(body(), "{}");
  EXPECT_EQ(run({"device", "create", "cam-2", "--group", "cams"}), ok);
  EXPECT_EQ(body(), R"({"id":"cam-2","group":"cams"})");
}

}  // namespace
}  // namespace evp::cli
