// evpctl: arguments to a request, its answer to the screen.
#include "cli/evpctl.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>

#include "base/encoding.h"
#include "cli/arguments.h"
#include "cli/print.h"
#include "wire/json.h"

namespace evp::cli {
namespace {

namespace json = boost::json;

std::string between(std::string_view text, std::size_t from, std::size_t to) {
  return std::string(text.substr(from, to - from));
}

/// Calls back with each {name} of the path, and whether it may hold slashes.
template <class F>
std::string expand(std::string_view path, F replace) {
  std::string out;
  for (std::size_t at = 0; at < path.size();) {
    const auto open = path.find('{', at);
    if (open == path.npos) return out + std::string(path.substr(at));
    const auto close = path.find('}', open);
    auto name = between(path, open + 1, close);
    const bool rest = name.ends_with("...");
    if (rest) name.resize(name.size() - 3);
    out += between(path, at, open) + replace(name, rest);
    at = close + 1;
  }
  return out;
}

result<secret> read_token(const arguments& a) {
  auto text = io::read_file(a.token_file, 4096);
  if (!text)
    return fail(
        std::move(std::move(text).error()).during("the token file (--token-file or EVP_TOKEN_FILE) " + a.token_file));
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (has_control_characters(*text)) return fail(errc::invalid_argument, a.token_file + " holds no token");
  return secret(std::move(*text));
}

result<http::request> make_request(const arguments& a, surroundings& s, io::unique_fd& upload) {
  http::request r;
  r.method = a.chosen->method;
  auto url = a.server;
  while (!url.empty() && url.back() == '/') url.pop_back();
  url += expand(a.chosen->path,
                [&](const std::string& name, bool rest) { return percent_encode(a.positional.at(name), rest); });
  char divider = '?';
  for (const auto& [name, value] : a.query) {
    if (value.empty()) continue;
    url += divider + name + "=" + percent_encode(value);
    divider = '&';
  }
  r.url = secret(std::move(url));
  r.max_response_bytes = max_answer_bytes;
  r.stall_timeout = milliseconds(90'000);  // a command may take a minute
  if (a.chosen->path != "/healthz") {
    TRY(const auto token, read_token(a));
    r.fields.push_back({"Authorization", "Bearer " + token.reveal()});
    if (!a.tenant.empty()) r.fields.push_back({"X-EVP-Tenant", a.tenant});
  }
  if (!a.ca_file.empty()) { TRY(r.ca_pem, io::read_file(a.ca_file, 1 << 20)); }
  if (a.chosen->stream != stream_kind::none) {
    r.max_response_bytes = UINT64_MAX;
    if (!a.after.empty()) r.fields.push_back({"Last-Event-ID", a.after});
  }
  CHECK(fill_body(a, s, r, upload));
  return r;
}

}  // namespace

int show_failure(const arguments& a, const http::response& answer, surroundings& s) {
  const int status = answer.status >= 500 ? server_error : refused;
  auto body = wire::parse_json_object(answer.body, max_answer_bytes);
  const auto* e = body ? body->if_contains("error") : nullptr;
  if (!e || !e->is_object()) {
    if (body && a.chosen->path == "/healthz") print_fields(s.out, *body);
    s.err << "evpctl: the server answered with status " << answer.status << "\n";
    return status;
  }
  if (a.json) {
    s.err << answer.body;
    return status;
  }
  const wire::json_reader r(e->get_object());
  s.err << "evpctl: " << r.optional_text("message").value_or(std::nullopt).value_or("refused") << " ("
        << r.optional_text("code").value_or(std::nullopt).value_or("no code");
  if (auto field = r.optional_text("field").value_or(std::nullopt)) s.err << ", field " << *field;
  s.err << ")\n";
  return status;
}

namespace {

int show(const arguments& a, const http::response& answer, surroundings& s) {
  if (answer.status < 200 || answer.status > 299) return show_failure(a, answer, s);
  auto body = wire::parse_json_object(answer.body, max_answer_bytes);
  const bool failed_test = body && body->contains("steps") && body->contains("ok") && body->at("ok") == false;
  const int status = failed_test ? refused : ok;
  if (answer.body.empty()) return status;
  if (a.json || !body) {
    s.out << answer.body;
    return status;
  }
  const json::string_view list(a.chosen->list.data(), a.chosen->list.size());
  const auto* rows = list.empty() ? nullptr : body->if_contains(list);
  if (!rows || !rows->is_array()) {
    print_fields(s.out, *body);
    return status;
  }
  print_table(s.out, rows->get_array(), a.chosen->columns);
  if (const auto* next = body->if_contains("nextCursor"); next && next->is_string())
    s.out << "more with --cursor " << next->get_string().c_str() << "\n";
  return status;
}

void add_positional(CLI::App& verb, arguments& a, const std::string& name, bool required, const std::string& help) {
  std::string title = name;
  std::transform(title.begin(), title.end(), title.begin(), [](char c) { return char(std::toupper(c)); });
  auto* option = verb.add_option(name, a.positional[name], help)->option_text(title);
  if (required) option->required();
}

void add_body_flags(CLI::App& verb, arguments& a, body_kind body) {
  if (body == body_kind::device) add_positional(verb, a, "id", false, "Its id; chosen by the backend when absent");
  if (body == body_kind::membership) add_positional(verb, a, "group", false, "The group; without it none");
  if (body == body_kind::device || body == body_kind::enrolment_token)
    verb.add_option("--group", a.group, "The group in which it begins");
  if (body == body_kind::group) verb.add_option("--description", a.description, "What it is for");
  if (body == body_kind::policy)
    for (const auto& f : policy_flags()) verb.add_option(std::string(f.flag), a.policy[f.field], std::string(f.help));
  if (body == body_kind::tenant) add_positional(verb, a, "id", true, "Its id");
  if (body == body_kind::api_key) {
    add_positional(verb, a, "name", true, "What the key is for");
    verb.add_option("--role", a.role, "viewer, operator or admin")->required();
    verb.add_option("--expires", a.expires, "ISO 8601 duration, such as P90D; else it never expires");
  }
  if (body == body_kind::enrolment_token) {
    add_positional(verb, a, "id", false, "The device; without it any that is not there yet");
    verb.add_option("--uses", a.uses, "How many devices of a fleet [1]");
    verb.add_option("--expires", a.expires, "ISO 8601 duration, PT1M to P366D [P1D]");
  }
  if (body == body_kind::value) add_positional(verb, a, "value", false, "The value");
  if (body == body_kind::parameters) {
    add_positional(verb, a, "params", false, "JSON");
    verb.add_option("--time-limit", a.time_limit, "ISO 8601 duration, at most PT1M [PT10S]");
  }
  if (body == body_kind::upload) add_positional(verb, a, "file", true, "The module's file");
  const bool is_short = body == body_kind::device || body == body_kind::tenant || body == body_kind::api_key ||
                        body == body_kind::enrolment_token || body == body_kind::membership ||
                        body == body_kind::group || body == body_kind::provider_change;
  if (body != body_kind::none && body != body_kind::upload && !is_short)
    verb.add_option("--file", a.file, "Take the body from this file; - for standard input");
  if (body == body_kind::hook) {
    verb.add_option("--url", a.url, "Where deliveries are posted to");
    verb.add_option("--secret-file", a.secret_file, "File with the secret that signs them, 32 characters or more");
    verb.add_option("--certificate-file", a.certificate_file, "PEM bundle to trust for the URL; else the system's");
    verb.add_option("--services", a.services, "Only uploads to these storages, comma-separated")->delimiter(',');
    verb.add_option("--states", a.states, "Only these of uploaded, verified, failed, expired")->delimiter(',');
  }
  if (body == body_kind::provider_change) {
    verb.add_option("--to", a.to, "The other service; needed to begin");
    verb.add_option("--percent", a.percent, "Devices in a hundred; needed to begin");
    verb.add_option("--error-percent", a.error_percent, "Falls back beyond so many errors in a hundred uploads [10]");
    verb.add_option("--minimum", a.minimum, "... of at least so many uploads [20]");
    verb.add_option("--window", a.window, "... that ended within this ISO 8601 duration, PT10S to PT6H [PT10M]");
    verb.add_option("--shadow", a.shadow, "on: the backend copies each verified upload to the other storage; off");
  }
  if (body != body_kind::service) return;
  verb.add_option("--type", a.type, "AZURE, AWS or LOCAL");
  verb.add_option("--name", a.name, "Storage name that modules use as key [default]");
  verb.add_option("--set", a.set, "field=value of the body; not for secrets")->allow_extra_args(false);
  verb.add_option("--set-file", a.set_file, "field=FILE: value from a file, for keys and certificates")
      ->allow_extra_args(false);
  verb.add_option("--header", a.headers, "name=value that devices must send to the storage")->allow_extra_args(false);
}

void add_command(CLI::App& parent, const command& c, arguments& a) {
  CLI::App* verb = parent.add_subcommand(std::string(c.verb.empty() ? c.group : c.verb), std::string(c.help));
  expand(c.path, [&](const std::string& name, bool) {
    add_positional(*verb, a, name, true, "");
    return std::string();
  });
  for (const auto name : c.query) verb->add_option("--" + std::string(name), a.query[std::string(name)]);
  for (const auto& f : c.flags)
    verb->add_flag("--" + std::string(f.name), a.query[std::string(f.name)], std::string(f.help));
  if (c.stream == stream_kind::events)
    verb->add_option("--after", a.after, "Go on after the change of this sequence number");
  if (c.stream == stream_kind::chain) {
    verb->add_option("--file", a.file, "Verify this export instead of what the backend has; - for standard input");
    verb->add_option("--known", a.known, "NUMBER:HASH that an earlier run told: that record must still be the same");
  }
  add_body_flags(*verb, a, c.body);
  verb->fallthrough();
  verb->callback([&a, &c] { a.chosen = &c; });
}

void add_runtime(CLI::App& app, arguments& a) {
  auto* group = app.add_subcommand("runtime", "The evp-runtime on this device");
  group->require_subcommand(1);
  group->fallthrough();
  auto* status = group->add_subcommand("status", "Its queue, transfers, rates and latest failures");
  status->fallthrough();
  status->add_option("--data-dir", a.data, "The runtime's data directory [/evp_data, or EVP_DATA_DIR]");
  status->add_flag("--watch", a.repeat, "Show it anew each second, until Ctrl-C");
}

constexpr const char* exit_help =
    "Exit status: 0 done; 1 refused by the backend, or the tested service does not work; 2 wrong usage or unreadable "
    "file;\n"
    "3 the backend (or runtime) cannot be reached; 4 it failed.\n"
    "Environment: EVP_SERVER, EVP_TOKEN_FILE, EVP_CA_FILE, EVP_TENANT stand for the flags of that name.";

}  // namespace

int run(int argc, const char* const* argv, surroundings& s) {
  arguments a;
  a.token_file = "/var/lib/evp-backend/admin.token";
  for (const auto& [name, where] : {std::pair{"EVP_SERVER", &a.server},
                                    {"EVP_TOKEN_FILE", &a.token_file},
                                    {"EVP_CA_FILE", &a.ca_file},
                                    {"EVP_TENANT", &a.tenant},
                                    {"EVP_DATA_DIR", &a.data}})
    if (const char* value = s.environment(name); value && *value) *where = value;

  CLI::App app("evpctl: everything the REST API of evp-backend can do.", "evpctl");
  app.set_version_flag("--version", "evpctl 0.1.0");
  app.footer(exit_help);
  app.add_option("--server", a.server, "Base URL of the backend [http://127.0.0.1:8080]");
  app.add_option("--token-file", a.token_file,
                 "File with the admin token or an API key [/var/lib/evp-backend/admin.token]");
  app.add_option("--tenant", a.tenant, "Act in this tenant; for tokens that may act in all of them");
  app.add_option("--ca", a.ca_file, "PEM bundle to trust for https; else the system's");
  app.add_flag("--json", a.json, "Print JSON; the default where the output is no terminal");
  app.require_subcommand(1);
  for (const auto& g : groups()) {
    auto* group = app.add_subcommand(std::string(g.name), std::string(g.help));
    group->require_subcommand(1);
    group->fallthrough();
    for (const auto& c : commands())
      if (c.group == g.name) add_command(*group, c, a);
  }
  for (const auto& c : commands())
    if (c.verb.empty()) add_command(app, c, a);
  add_runtime(app, a);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) { return app.exit(e, s.out, s.err) == 0 ? ok : usage; }
  if (!s.terminal) a.json = true;
  if (!a.chosen) return show_runtime(a, s);

  if (a.chosen->stream == stream_kind::chain && !a.file.empty()) return verify_file(a, s);
  io::unique_fd upload;
  auto request = make_request(a, s, upload);
  if (!request) {
    s.err << "evpctl: " << request.error().message() << "\n";
    return usage;
  }
  switch (a.chosen->stream) {
    case stream_kind::events: return watch(a, std::move(*request), s);
    case stream_kind::lines: return copy(a, std::move(*request), s);
    case stream_kind::chain: return verify_answer(a, std::move(*request), s);
    case stream_kind::none: break;
  }
  const auto answer = s.send(std::move(*request));
  if (!answer) {
    s.err << "evpctl: " << a.server << ": " << answer.error().message() << "\n";
    return unreachable;
  }
  return show(a, *answer, s);
}

}  // namespace evp::cli
