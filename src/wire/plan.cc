// Plans for uploads in parts: encoded at the hub, decoded at our runtime.
#include "wire/fields.h"

namespace evp::wire {
namespace {

json::object write_part(const grant_part& p) {
  json::object o;
  o.emplace("n", p.number);
  o.emplace("method", view(p.method));
  o.emplace("url", view(p.url.reveal()));
  o.emplace("headers", header_object(p.headers));
  o.emplace("offset", std::to_string(p.offset));
  o.emplace("length", std::to_string(p.length));
  if (!p.expect.empty()) o.emplace("expect", json::array(p.expect.begin(), p.expect.end()));
  if (!p.body_prefix.empty()) o.emplace("bodyPrefix", view(p.body_prefix.reveal()));
  if (!p.body_suffix.empty()) o.emplace("bodySuffix", view(p.body_suffix.reveal()));
  return o;
}

result<std::uint64_t> read_decimal(const json_reader& r, std::string_view key) {
  TRY(const auto n, r.optional_decimal(key));
  if (!n) return fail(errc::invalid_argument, r.path_of(key), fmt::format("{} is missing", key));
  return *n;
}

/// An integer from 1 to max_plan_parts.
result<unsigned> read_count(const json_reader& r, std::string_view key) {
  TRY(const auto n, r.optional_integer(key));
  if (!n || *n < 1 || *n > std::int64_t(max_plan_parts))
    return fail(errc::invalid_argument, r.path_of(key), fmt::format("{} must be from 1 to {}", key, max_plan_parts));
  return unsigned(*n);
}

result<secret> read_body_text(const json_reader& r, std::string_view key) {
  TRY(auto text, r.optional_text(key, max_body_text_bytes));
  return secret(std::move(text).value_or(""));
}

result<grant_part> read_part(const json_reader& r) {
  grant_part p;
  TRY(p.number, read_count(r, "n"));
  TRY(p.method, r.text("method", 8));
  if (p.method != "PUT" && p.method != "POST")
    return fail(errc::invalid_argument, r.path_of("method"), "method must be PUT or POST");
  TRY(p.url, read_url(r, "url"));
  TRY(p.headers, read_headers(r));
  TRY(p.offset, read_decimal(r, "offset"));
  TRY(p.length, read_decimal(r, "length"));
  constexpr auto max_offset = std::uint64_t(INT64_MAX);
  if (p.offset > max_offset || p.length > max_offset - p.offset)
    return fail(errc::invalid_argument, r.path_of("length"), "offset and length go beyond what a file can have");
  TRY(p.expect, read_expect(r));
  TRY(p.body_prefix, read_body_text(r, "bodyPrefix"));
  TRY(p.body_suffix, read_body_text(r, "bodySuffix"));
  return p;
}

}  // namespace

json::array write_parts(const std::vector<grant_part>& parts) {
  json::array out;
  for (const auto& p : parts) out.emplace_back(write_part(p));
  return out;
}

result<std::vector<grant_part>> read_parts(const json_reader& r) {
  TRY(const auto* list, r.optional_array("parts"));
  if (!list || list->empty() || list->size() > max_page_parts)
    return fail(errc::invalid_argument, r.path_of("parts"),
                fmt::format("parts must be an array of 1 to {} parts", max_page_parts));
  std::vector<grant_part> out;
  for (const auto& v : *list) {
    const auto path = fmt::format("{}[{}]", r.path_of("parts"), out.size());
    if (!v.is_object()) return fail(errc::invalid_argument, path, path + " must be an object");
    TRY(auto part, read_part(json_reader(v.get_object(), path)));
    if (!out.empty() && part.number != out.back().number + 1)
      return fail(errc::invalid_argument, path, "parts must follow each other");
    out.push_back(std::move(part));
  }
  return out;
}

json::object write_plan(const grant_plan& p) {
  json::object o;
  o.emplace("version", 1);
  o.emplace("partSize", std::to_string(p.part_bytes));
  o.emplace("partCount", p.part_count);
  o.emplace("parallel", p.parallel);
  o.emplace("parts", write_parts(p.parts));
  return o;
}

result<grant_plan> read_plan(const json_reader& r) {
  TRY(const auto version, r.optional_integer("version"));
  if (version != 1) return fail(errc::unsupported, r.path_of("version"), "only plans of version 1 are known");
  grant_plan p;
  TRY(p.part_bytes, read_decimal(r, "partSize"));
  TRY(p.part_count, read_count(r, "partCount"));
  TRY(p.parallel, read_count(r, "parallel"));
  TRY(p.parts, read_parts(r));
  if (p.parts.front().number != 1 || p.parts.back().number > p.part_count)
    return fail(errc::invalid_argument, r.path_of("parts"), "the first page must begin with part 1 and fit partCount");
  return p;
}

}  // namespace evp::wire
