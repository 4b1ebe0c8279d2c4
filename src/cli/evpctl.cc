// evpctl: arguments to a request, its answer to the screen.
#include "cli/evpctl.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <sstream>

#include "base/encoding.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/runtime_status.h"
#include "io/files.h"
#include "wire/json.h"

namespace evp::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t max_file_bytes = 4 << 20;  // bodies but module files, which are streamed
constexpr std::size_t max_answer_bytes = 16 << 20;

// What one run was told. Values of positionals and query flags stand by their names.
struct arguments {
  std::string server = "http://127.0.0.1:8080", token_file, ca_file, file, type, name, time_limit;
  bool json = false;
  const command* chosen = nullptr;
  std::string data = "/evp_data";  ///< of evp-runtime
  bool watch = false;
  std::map<std::string, std::string> positional, query;
  std::vector<std::string> set, set_file, headers;
};

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

result<std::string> read_input(const std::string& file, surroundings& s) {
  if (file != "-") {
    auto text = io::read_file(file, max_file_bytes);
    if (!text) return fail(std::move(std::move(text).error()).during(file));
    return text;
  }
  std::string text(max_file_bytes + 1, '\0');
  s.in.read(text.data(), std::streamsize(text.size()));
  text.resize(std::size_t(s.in.gcount()));
  if (text.size() > max_file_bytes) return fail(errc::too_large, "standard input is too long");
  return text;
}

result<std::pair<std::string, std::string>> split(const std::string& text, std::string_view flag) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0)
    return fail(errc::invalid_argument,
                std::string(flag) + " takes field=value, not \"" + text.substr(0, equals) + "\"");
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

bool is_secret_field(std::string_view name) {
  constexpr std::string_view secrets[] = {"connectionString", "accountKey", "secretAccessKey", "sessionToken"};
  return std::find(std::begin(secrets), std::end(secrets), name) != std::end(secrets);
}

json::string as_json(std::string_view s) { return json::string(s.data(), s.size()); }

result<std::string> service_body(const arguments& a, surroundings& s) {
  json::object body;
  if (!a.file.empty()) {
    TRY(const auto text, read_input(a.file, s));
    TRY(body, wire::parse_json_object(text, max_file_bytes));
  }
  if (!a.type.empty()) body["type"] = as_json(a.type);
  if (!a.name.empty()) body["name"] = as_json(a.name);
  for (const auto& item : a.set) {
    TRY(const auto pair, split(item, "--set"));
    if (is_secret_field(pair.first))
      return fail(errc::invalid_argument,
                  pair.first + " is secret and the command line is not: use --set-file " + pair.first + "=FILE");
    const bool flag = pair.second == "true" || pair.second == "false";
    body[pair.first] = flag ? json::value(pair.second == "true") : json::value(as_json(pair.second));
  }
  for (const auto& item : a.set_file) {
    TRY(const auto pair, split(item, "--set-file"));
    TRY(auto text, read_input(pair.second, s));
    if (pair.first != "certificate")
      while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    body[pair.first] = as_json(text);
  }
  for (const auto& item : a.headers) {
    TRY(const auto pair, split(item, "--header"));
    auto& headers = body["headers"];
    if (!headers.is_object()) headers = json::object();
    headers.get_object()[pair.first] = as_json(pair.second);
  }
  return json::serialize(body);
}

result<std::string> value_body(const arguments& a, surroundings& s) {
  json::object body;
  const auto given = a.positional.find("value");
  const bool has_value = given != a.positional.end() && !given->second.empty();
  if (has_value == !a.file.empty()) return fail(errc::invalid_argument, "give VALUE or --file, one of both");
  if (has_value) {
    body["value"] = as_json(given->second);
  } else {
    TRY(const auto text, read_input(a.file, s));
    body["value"] = as_json(text);
  }
  return json::serialize(body);
}

result<std::string> parameters_body(const arguments& a, surroundings& s) {
  json::object body;
  const auto given = a.positional.find("params");
  std::string text = given == a.positional.end() ? "" : given->second;
  if (!a.file.empty()) { TRY(text, read_input(a.file, s)); }
  if (!text.empty()) {
    auto params = wire::parse_json(text, max_file_bytes);
    if (!params) return fail(std::move(std::move(params).error()).during("PARAMS"));
    body["params"] = std::move(*params);
  }
  if (!a.time_limit.empty()) body["timeLimit"] = as_json(a.time_limit);
  return json::serialize(body);
}

result<io::unique_fd> open_upload(const std::string& file, std::uint64_t& size) {
  io::unique_fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) return fail(errno_error(errno, file));
  if (!S_ISREG(st.st_mode)) return fail(errc::invalid_argument, file + " is no regular file");
  size = std::uint64_t(st.st_size);
  return fd;
}

result<void> fill_body(const arguments& a, surroundings& s, http::request& r, io::unique_fd& upload) {
  switch (a.chosen->body) {
    case body_kind::none: return {};
    case body_kind::service: {
      TRY(r.body, service_body(a, s));
      break;
    }
    case body_kind::file: {
      if (a.file.empty())
        return fail(errc::invalid_argument, "--file is missing: name a file, or - for standard input");
      TRY(r.body, read_input(a.file, s));
      break;
    }
    case body_kind::device: {
      const auto id = a.positional.find("id");
      json::object body;
      if (id != a.positional.end() && !id->second.empty()) body["id"] = as_json(id->second);
      r.body = json::serialize(body);
      break;
    }
    case body_kind::value: {
      TRY(r.body, value_body(a, s));
      break;
    }
    case body_kind::parameters: {
      TRY(r.body, parameters_body(a, s));
      break;
    }
    case body_kind::upload: {
      http::file_range range;
      TRY(upload, open_upload(a.positional.at("file"), range.length));
      range.fd = upload.get();
      r.body = range;
      r.fields.push_back({"Content-Type", "application/octet-stream"});
      return {};
    }
  }
  r.fields.push_back({"Content-Type", "application/json"});
  return {};
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
  }
  if (!a.ca_file.empty()) { TRY(r.ca_pem, io::read_file(a.ca_file, 1 << 20)); }
  CHECK(fill_body(a, s, r, upload));
  return r;
}

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
  const auto* rows = a.chosen->list.empty() ? nullptr : body->if_contains(as_json(a.chosen->list));
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
  if (body == body_kind::value) add_positional(verb, a, "value", false, "The value");
  if (body == body_kind::parameters) {
    add_positional(verb, a, "params", false, "JSON");
    verb.add_option("--time-limit", a.time_limit, "ISO 8601 duration, at most PT1M [PT10S]");
  }
  if (body == body_kind::upload) add_positional(verb, a, "file", true, "The module's file");
  if (body != body_kind::none && body != body_kind::device && body != body_kind::upload)
    verb.add_option("--file", a.file, "Take the body from this file; - for standard input");
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
  status->add_flag("--watch", a.watch, "Show it anew each second, until Ctrl-C");
}

/// Asks the runtime on this machine, without the backend.
int show_runtime(const arguments& a, surroundings& s) {
  std::optional<wire::runtime_status> before;
  for (;;) {
    const auto text = s.read_socket(a.data + "/status.sock");
    if (!text) {
      s.err << "evpctl: " << text.error().message() << "\n";
      return unreachable;
    }
    auto status = wire::decode_runtime_status(*text);
    if (!status) {
      s.err << "evpctl: the runtime's status cannot be read: " << status.error().message() << "\n";
      return server_error;
    }
    if (a.json) {
      s.out << *text;
    } else {
      double rate = -1;
      if (before && status->up > before->up && status->moved >= before->moved)
        rate = double(status->moved - before->moved) / (double((status->up - before->up).count()) / 1e3);
      if (a.watch && s.terminal) s.out << "\x1b[H\x1b[2J";  // from the top of a clean screen
      print_status(s.out, *status, s.columns, rate);
    }
    s.out.flush();
    if (!a.watch || !s.wait(milliseconds(1000))) return ok;
    before = std::move(*status);
  }
}

constexpr const char* exit_help =
    "Exit status: 0 done; 1 refused by the backend, or the tested service does not work; 2 wrong usage or unreadable "
    "file;\n"
    "3 the backend (or runtime) cannot be reached; 4 it failed.\n"
    "Environment: EVP_SERVER, EVP_TOKEN_FILE, EVP_CA_FILE stand for the flags of that name.";

}  // namespace

int run(int argc, const char* const* argv, surroundings& s) {
  arguments a;
  a.token_file = "/var/lib/evp-backend/admin.token";
  for (const auto& [name, where] : {std::pair{"EVP_SERVER", &a.server},
                                    {"EVP_TOKEN_FILE", &a.token_file},
                                    {"EVP_CA_FILE", &a.ca_file},
                                    {"EVP_DATA_DIR", &a.data}})
    if (const char* value = s.environment(name); value && *value) *where = value;

  CLI::App app("evpctl: everything the REST API of evp-backend can do.", "evpctl");
  app.set_version_flag("--version", "evpctl 0.1.0");
  app.footer(exit_help);
  app.add_option("--server", a.server, "Base URL of the backend [http://127.0.0.1:8080]");
  app.add_option("--token-file", a.token_file, "File with the admin token [/var/lib/evp-backend/admin.token]");
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

  io::unique_fd upload;
  auto request = make_request(a, s, upload);
  if (!request) {
    s.err << "evpctl: " << request.error().message() << "\n";
    return usage;
  }
  const auto answer = s.send(std::move(*request));
  if (!answer) {
    s.err << "evpctl: " << a.server << ": " << answer.error().message() << "\n";
    return unreachable;
  }
  return show(a, *answer, s);
}

}  // namespace evp::cli
