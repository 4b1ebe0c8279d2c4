#include "sql/test_postgresql.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

#include "base/crypto.h"
#include "io/test_folder.h"
#include "sql/connection.h"

namespace evp::sql {
namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "the test's PostgreSQL: %s\n", why.c_str());
  std::exit(1);
}

class server {
 public:
  server() {
    if (call("start") != 0) give_up("did not start");
    std::ifstream in(folder_.path() / "server" / "env");
    for (std::string line; std::getline(in, line);)
      if (const auto equals = line.find('='); equals != line.npos)
        values[line.substr(0, equals)] = line.substr(equals + 1);
  }
  ~server() { (void)call("stop"); }
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  std::string url(const std::string& database) const {
    return "postgresql:///" + database + "?host=" + values.at("POSTGRESQL_SOCKET") +
           "&port=" + values.at("POSTGRESQL_PORT") + "&user=" + values.at("POSTGRESQL_USER");
  }
  /// Outside of a transaction, in the user's own database.
  void run(const std::string& text) const {
    auto parameters = postgresql_parameters(url(values.at("POSTGRESQL_USER")));
    auto session = open_postgresql(parameters.value());
    if (!session) give_up(session.error().message());
    if (auto done = (*session)->execute(text); !done) give_up(done.error().message());
  }
  std::map<std::string, std::string> values;

 private:
  int call(const std::string& script) const {
    const auto command =
        std::string(EVP_FIXTURES) + "/postgresql/" + script + " '" + (folder_.path() / "server").string() + "' >&2";
    return std::system(command.c_str());
  }
  io::temporary_folder folder_;
};

server& the_server() {
  static server one;
  return one;
}

std::string name_in(const std::string& url) {
  const auto begin = url.rfind('/', url.find('?')) + 1;
  return url.substr(begin, url.find('?') - begin);
}

}  // namespace

std::string new_postgresql_database() {
  const auto name = "test_" + random_id(12);
  the_server().run("CREATE DATABASE " + name);
  return the_server().url(name);
}

void end_postgresql_connections(const std::string& url, bool open) {
  const auto name = name_in(url);
  the_server().run("ALTER DATABASE " + name + " ALLOW_CONNECTIONS " + (open ? "true" : "false"));
  auto session =
      open_postgresql(postgresql_parameters(the_server().url(the_server().values.at("POSTGRESQL_USER"))).value());
  const auto ended = session.value()->query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name", {{"name", name}});
  if (!ended) give_up(ended.error().message());
}

std::string over_tcp(const std::string& url, bool with_passfile) {
  const auto& v = the_server().values;
  auto out = "postgresql://" + v.at("POSTGRESQL_USER") + "@127.0.0.1:" + v.at("POSTGRESQL_PORT") + "/" + name_in(url);
  return out + "?passfile=" + (with_passfile ? v.at("POSTGRESQL_PASSFILE") : "/nonexistent");
}

std::string postgresql_password() { return the_server().values.at("POSTGRESQL_PASSWORD"); }

}  // namespace evp::sql
