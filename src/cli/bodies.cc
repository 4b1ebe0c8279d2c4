// The bodies of evpctl's requests: flags and files to JSON.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "cli/arguments.h"
#include "wire/json.h"

namespace evp::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t max_file_bytes = 4 << 20;  // bodies but module files, which are streamed

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

/// A file's text without the line's end behind it.
result<std::string> read_line(const std::string& file, surroundings& s) {
  TRY(auto text, read_input(file, s));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

/// What --file holds, to be completed by other flags; empty without it.
result<json::object> read_object(const arguments& a, surroundings& s) {
  if (a.file.empty()) return json::object();
  TRY(const auto text, read_input(a.file, s));
  return wire::parse_json_object(text, max_file_bytes);
}

result<std::string> service_body(const arguments& a, surroundings& s) {
  TRY(auto body, read_object(a, s));
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
    TRY(const auto text, pair.first == "certificate" ? read_input(pair.second, s) : read_line(pair.second, s));
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

json::array as_array(const std::vector<std::string>& names) {
  json::array out;
  for (const auto& n : names) out.emplace_back(as_json(n));
  return out;
}

result<std::string> hook_body(const arguments& a, surroundings& s) {
  TRY(auto body, read_object(a, s));
  if (!a.url.empty()) body["url"] = as_json(a.url);
  if (!a.secret_file.empty()) {
    TRY(const auto text, read_line(a.secret_file, s));
    body["secret"] = as_json(text);
  }
  if (!a.certificate_file.empty()) {
    TRY(const auto text, read_input(a.certificate_file, s));
    body["certificate"] = as_json(text);
  }
  if (!a.services.empty()) body["services"] = as_array(a.services);
  if (!a.states.empty()) body["states"] = as_array(a.states);
  return json::serialize(body);
}

result<std::string> policy_body(const arguments& a, surroundings& s) {
  TRY(auto body, read_object(a, s));
  for (const auto& f : policy_flags()) {
    const auto given = a.policy.find(f.field);
    if (given == a.policy.end() || given->second.empty()) continue;
    json::value v = as_json(given->second);
    if (f.what == policy_flag::kind::number) {
      const auto n = wire::parse_decimal(given->second);
      if (!n) return fail(errc::invalid_argument, std::string(f.flag) + " takes a number");
      v = *n;
    }
    if (f.what == policy_flag::kind::list) {
      json::array all;
      for (std::string_view rest = given->second; !rest.empty();) {
        const auto end = std::min(rest.find(','), rest.size());
        all.emplace_back(as_json(rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      v = std::move(all);
    }
    body[json::string_view(f.field.data(), f.field.size())] = std::move(v);
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

result<std::string> change_body(const arguments& a) {
  json::object body, bound;
  const auto number = [](json::object& to, const char* name, const std::string& text) -> result<void> {
    if (text.empty()) return {};
    TRY(const auto n, wire::parse_decimal(text));
    to[name] = n;
    return {};
  };
  if (!a.to.empty()) body["to"] = as_json(a.to);
  CHECK(number(body, "percent", a.percent));
  CHECK(number(bound, "errorPercent", a.error_percent));
  CHECK(number(bound, "minimum", a.minimum));
  if (!a.window.empty()) bound["window"] = as_json(a.window);
  if (!a.shadow.empty() && a.shadow != "on" && a.shadow != "off")
    return fail(errc::invalid_argument, "--shadow takes on or off");
  if (!a.shadow.empty()) body["shadow"] = a.shadow == "on";
  if (!bound.empty()) body["fallBack"] = std::move(bound);
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

}  // namespace

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
    case body_kind::tenant: {
      json::object body;
      body["id"] = as_json(a.positional.at("id"));
      r.body = json::serialize(body);
      break;
    }
    case body_kind::api_key: {
      json::object body;
      body["name"] = as_json(a.positional.at("name"));
      body["role"] = as_json(a.role);
      if (!a.expires.empty()) body["expirationDuration"] = as_json(a.expires);
      r.body = json::serialize(body);
      break;
    }
    case body_kind::enrolment_token: {
      json::object body;
      if (const auto id = a.positional.find("id"); id != a.positional.end() && !id->second.empty())
        body["device"] = as_json(id->second);
      if (!a.uses.empty()) {
        TRY(const auto n, wire::parse_decimal(a.uses));
        body["uses"] = n;
      }
      if (!a.expires.empty()) body["expirationDuration"] = as_json(a.expires);
      if (!a.group.empty()) body["group"] = as_json(a.group);
      r.body = json::serialize(body);
      break;
    }
    case body_kind::membership: {
      const auto& group = a.positional.at("group");
      json::object body;
      if (!group.empty()) body["group"] = as_json(group);
      r.body = json::serialize(body);
      break;
    }
    case body_kind::group: {
      json::object body;
      if (!a.description.empty()) body["description"] = as_json(a.description);
      r.body = json::serialize(body);
      break;
    }
    case body_kind::policy: {
      TRY(r.body, policy_body(a, s));
      break;
    }
    case body_kind::device: {
      const auto id = a.positional.find("id");
      json::object body;
      if (id != a.positional.end() && !id->second.empty()) body["id"] = as_json(id->second);
      if (!a.group.empty()) body["group"] = as_json(a.group);
      r.body = json::serialize(body);
      break;
    }
    case body_kind::value: {
      TRY(r.body, value_body(a, s));
      break;
    }
    case body_kind::hook: {
      TRY(r.body, hook_body(a, s));
      break;
    }
    case body_kind::provider_change: {
      TRY(r.body, change_body(a));
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

}  // namespace evp::cli
