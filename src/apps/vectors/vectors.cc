// The forms that all files of vectors share, and how outcomes are made comparable.
#include "apps/vectors/vectors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/url.hpp>
#include <vector>

namespace evp::vectors {
namespace {

struct operation {
  std::string_view op, method;
};
constexpr operation operations[] = {{"put", "PUT"},       {"get", "GET"},     {"head", "HEAD"},
                                    {"part", "PUT"},      {"create", "POST"}, {"complete", "POST"},
                                    {"delete", "DELETE"}, {"abort", "DELETE"}};

/// Fields by the names that inputs give them.
constexpr std::pair<std::string_view, std::string_view> fields[] = {{"contentType", "Content-Type"},
                                                                    {"contentMD5", "Content-MD5"},
                                                                    {"contentLength", "Content-Length"},
                                                                    {"sha256", "x-amz-checksum-sha256"}};

/// Some SDKs leave these as they are, which every server takes for the same path: RFC 3986 calls it equivalent.
std::string with_marks_encoded(std::string_view path) {
  std::string out;
  for (const char c : path)
    if (std::string_view("!'()*").find(c) != std::string_view::npos)
      out += fmt::format("%{:02X}", c);
    else
      out += c;
  return out;
}

}  // namespace

std::string text(const json::object& o, std::string_view name) {
  const auto* v = o.if_contains(name);
  if (!v || v->is_null()) return {};
  if (v->is_string()) return std::string(v->as_string());
  return json::serialize(*v);
}

std::string text_or(const json::object& o, std::string_view name, std::string_view otherwise) {
  auto t = text(o, name);
  return t.empty() ? std::string(otherwise) : t;
}

const json::object& input_of(const json::object& c) {
  const auto* input = c.if_contains("input");
  return input ? input->as_object() : c;
}

result<timestamp> clock_of(const source& from) { return parse_rfc3339(text(from.file, "sdk_frozen_clock_utc")); }

seconds lifetime_of(const json::object& input) { return seconds(std::stoll("0" + text(input, "expires"))); }

result<described> describe(const source& from, const json::object& c, std::string_view default_endpoint) {
  const auto& input = input_of(c);
  const auto op = text(input, "op");
  const auto* known = std::find_if(std::begin(operations), std::end(operations), [&](auto& o) { return o.op == op; });
  if (known == std::end(operations)) return fail(errc::unsupported, "unknown op " + op);

  described d;
  d.bucket = text_or(from.file, "bucket", "examplebucket");
  d.key = text(input, "key");
  d.token = text(input, "token");
  const auto endpoint = text_or(input, "endpoint", text_or(from.file, "endpoint", default_endpoint));
  const auto colon = endpoint.find("://");
  const bool path_style = text(input, "pathStyle") == "true";
  d.request.method = known->method;
  d.request.scheme = endpoint.substr(0, colon);
  d.request.authority = (path_style ? "" : d.bucket + ".") + endpoint.substr(colon + 3);
  d.request.path = (path_style ? "/" + d.bucket : "") + "/" + d.key;

  if (op == "create") d.request.query.emplace_back("uploads", "");
  for (const auto* name : {"uploadId", "partNumber"})
    if (input.contains(name)) d.request.query.emplace_back(name, text(input, name));
  if (const auto* query = input.if_contains("query"))
    for (const auto& [name, value] : query->as_object()) d.request.query.emplace_back(name, value.as_string());
  for (const auto& [name, field] : fields)
    if (input.contains(name)) d.request.fields.push_back({std::string(field), text(input, name)});
  if (const auto* headers = input.if_contains("headers"))
    for (const auto& [name, value] : headers->as_object())
      d.request.fields.push_back({std::string(name), std::string(value.as_string())});
  return d;
}

std::string sorted_query(std::string_view query) {
  std::vector<std::string> lines;
  for (const auto& p : boost::urls::params_encoded_view(query))
    lines.push_back(fmt::format("{}={}", p.key.decode(), p.value.decode()));
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string sorted_url(std::string_view url) {
  const auto mark = std::min(url.find('?'), url.size());
  return fmt::format("{}\n{}", with_marks_encoded(url.substr(0, mark)),
                     mark < url.size() ? sorted_query(url.substr(mark + 1)) : "");
}

}  // namespace evp::vectors
