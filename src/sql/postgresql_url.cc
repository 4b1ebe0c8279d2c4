// What a database URL says, and what it must not say. https://www.postgresql.org/docs/15/libpq-connect.html
#include <libpq-fe.h>

#include "sql/connection.h"

namespace evp::sql {
namespace {

// A server or a network that has gone is noticed in seconds, by the kernel, where the URL asks for nothing else.
constexpr std::pair<std::string_view, std::string_view> defaults[] = {
    {"connect_timeout", "2"},    {"keepalives_idle", "2"},     {"keepalives_interval", "1"},
    {"keepalives_count", "3"},   {"tcp_user_timeout", "5000"}, {"fallback_application_name", "evp-backend"},
    {"client_encoding", "UTF8"},
};

/// 'value' with \ before what would end it.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

}  // namespace

result<std::string> postgresql_parameters(std::string_view url) {
  char* why = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> all(
      PQconninfoParse(std::string(url).c_str(), &why), PQconninfoFree);
  PQfreemem(why);  // it quotes the URL, which may hold a password
  if (!all)
    return fail(errc::invalid_argument,
                "database URL: expected postgresql://user@host:port/name or postgresql:///name?host=/folder&user=user");
  std::string out;
  const auto add = [&out](std::string_view key, std::string_view text) {
    out.append(out.empty() ? "" : " ").append(key).append("=").append(quoted(text));
  };
  for (const auto* o = all.get(); o->keyword; ++o) {
    if (!o->val) continue;
    const std::string_view key = o->keyword;
    if (key == "password" || key == "sslpassword")
      return fail(errc::invalid_argument,
                  "database URL: leave the password out, since others on this machine may read it here: write it into "
                  "~/.pgpass, or into a file of that form (mode 0600) that the URL names with ?passfile=/path");
    add(key, o->val);
  }
  for (const auto& [key, text] : defaults) {
    bool given = false;
    for (const auto* o = all.get(); o->keyword; ++o) given = given || (o->val && key == o->keyword);
    if (!given) add(key, text);
  }
  return out;
}

}  // namespace evp::sql
