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
    case body_kind::hook: {
      TRY(r.body, hook_body(a, s));
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
