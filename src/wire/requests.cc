// What devices ask of the hub (storage tokens, certificates, transfer reports): decoded at the hub, encoded at the
// device.
#include <algorithm>

#include "wire/fields.h"

namespace evp::wire {
namespace {

constexpr std::size_t max_accept = 16;  // what one device may list; we know five
constexpr std::size_t max_accept_bytes = 64;
constexpr std::size_t max_content_type = 255;  // RFC 6838, 4.2: two names of 127 characters
constexpr std::size_t max_grant_id = 128;
constexpr std::size_t max_report_text = 1024;  // goes into the ledger

result<std::vector<std::string>> read_accept(const json_reader& r) {
  TRY(const auto* list, r.optional_array("accept"));
  std::vector<std::string> out;
  if (!list) return out;
  if (list->size() > max_accept)
    return fail(errc::too_large, r.path_of("accept"),
                fmt::format("accept must not have more than {} entries", max_accept));
  for (const auto& v : *list) {
    if (!v.is_string() || v.get_string().size() > max_accept_bytes)
      return fail(errc::invalid_argument, r.path_of("accept"), "accept must be an array of short strings");
    out.emplace_back(view(v.get_string()));
  }
  return out;
}

result<std::optional<std::string>> read_sha256(const json_reader& r, std::string_view key) {
  TRY(auto text, r.optional_text(key));
  if (!text || text->empty()) return std::optional<std::string>();
  TRY(auto checked, check_sha256(std::move(*text), r.path_of(key)));
  return std::optional(std::move(checked));
}

result<storage_token_request> read_token_request(const json_reader& r, std::string_view topic_id) {
  storage_token_request out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.filename, r.text("filename"));
  TRY(out.instance, r.text("moduleInstanceId"));
  TRY(out.key, r.optional_text("key"));
  TRY(const auto op, r.optional_text("operation"));
  if (op && *op != "put" && *op != "get")
    return fail(errc::invalid_argument, r.path_of("operation"), "operation must be \"put\" or \"get\"");
  if (op && *op == "get") out.operation = blob_operation::get;
  TRY(out.size, r.optional_decimal("size"));
  TRY(out.sha256, read_sha256(r, "sha256"));
  TRY(out.content_type, r.optional_text("contentType", max_content_type));
  if (out.content_type && has_control_characters(*out.content_type))
    return fail(errc::invalid_argument, r.path_of("contentType"), "contentType must not hold control characters");
  TRY(out.accept, read_accept(r));
  TRY(const auto offline, r.optional_boolean("offline"));
  out.offline = offline.value_or(false);
  return out;
}

result<storage_token_request> read_evp1_token_request(const json_reader& r, std::string_view topic_id) {
  storage_token_request out;
  out.reqid = topic_id;
  TRY(out.filename, r.text("filename"));
  TRY(out.instance, r.text("moduleInstanceName"));
  TRY(out.key, r.optional_text("storageName"));
  return out;
}

result<certificate_request> read_certificate_request(const json_reader& r, std::string_view topic_id) {
  certificate_request out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.certificate_id, r.text("certificateId", 128));
  return out;
}

result<transfer_report> read_transfer_report(const json_reader& r, std::string_view topic_id) {
  transfer_report out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.grant_id, r.text("grantId", max_grant_id));
  TRY(const auto outcome, r.text("result"));
  if (outcome != "done" && outcome != "failed")
    return fail(errc::invalid_argument, r.path_of("result"), "result must be \"done\" or \"failed\"");
  out.done = outcome == "done";
  TRY(const auto status, r.optional_integer("httpStatus"));
  if (status && (*status < 0 || *status > 999))
    return fail(errc::invalid_argument, r.path_of("httpStatus"), "httpStatus must be 0 to 999");
  out.http_status = int(status.value_or(0));
  TRY(const auto bytes, r.optional_decimal("bytes"));
  out.bytes = bytes.value_or(0);
  TRY(auto digest, read_sha256(r, "sha256"));
  out.sha256 = digest.value_or("");
  TRY(auto message, r.optional_text("message", max_report_text));
  out.message = message.value_or("");
  return out;
}

result<grant_renew_request> read_renewal(const json_reader& r, std::string_view topic_id) {
  grant_renew_request out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.grant_id, r.text("grantId", max_grant_id));
  TRY(const auto* range, r.optional_array("parts"));
  const auto is_part = [](const json::value& v) {
    return v.is_int64() && v.get_int64() >= 1 && v.get_int64() <= std::int64_t(max_plan_parts);
  };
  if (!range || range->size() != 2 || !is_part(range->front()) || !is_part(range->back()) ||
      range->front().get_int64() > range->back().get_int64())
    return fail(errc::invalid_argument, r.path_of("parts"),
                fmt::format("parts must be the first and the last part that are wanted, from 1 to {}", max_plan_parts));
  out.first_part = unsigned(range->front().get_int64());
  out.last_part = unsigned(range->back().get_int64());
  return out;
}

template <class T>
result<std::pair<dialect, device_request>> as_evp2(result<T> r) {
  TRY(auto value, std::move(r));
  return std::pair<dialect, device_request>(dialect::evp2, std::move(value));
}

json::object wrap(std::string_view name, json::object body) {
  json::object params, out;
  params.emplace(view(name), std::move(body));
  out.emplace("method", "evp-d2c");
  out.emplace("params", std::move(params));
  return out;
}

json::object write(const storage_token_request& r) {
  json::object o;
  o.emplace("reqid", view(r.reqid));
  o.emplace("filename", view(r.filename));
  o.emplace("moduleInstanceId", view(r.instance));
  if (r.key) o.emplace("key", view(*r.key));
  if (r.operation == blob_operation::get) o.emplace("operation", "get");
  if (r.size) o.emplace("size", std::to_string(*r.size));
  if (r.sha256) o.emplace("sha256", view(*r.sha256));
  if (r.content_type) o.emplace("contentType", view(*r.content_type));
  if (!r.accept.empty()) {
    json::array list;
    for (const auto& a : r.accept) list.emplace_back(view(a));
    o.emplace("accept", std::move(list));
  }
  if (r.offline) o.emplace("offline", true);
  return wrap("storagetoken-request", std::move(o));
}

json::object write(const certificate_request& r) {
  json::object o;
  o.emplace("reqid", view(r.reqid));
  o.emplace("certificateId", view(r.certificate_id));
  return wrap("certificate-request", std::move(o));
}

json::object write(const grant_renew_request& r) {
  json::object o;
  o.emplace("reqid", view(r.reqid));
  o.emplace("grantId", view(r.grant_id));
  json::array range;
  range.emplace_back(r.first_part);
  range.emplace_back(r.last_part);
  o.emplace("parts", std::move(range));
  return wrap("grant-renew", std::move(o));
}

json::object write(const transfer_report& r) {
  json::object o;
  o.emplace("reqid", view(r.reqid));
  o.emplace("grantId", view(r.grant_id));
  o.emplace("result", r.done ? "done" : "failed");
  o.emplace("httpStatus", r.http_status);
  o.emplace("bytes", std::to_string(r.bytes));
  if (!r.sha256.empty()) o.emplace("sha256", view(r.sha256));
  if (!r.message.empty()) o.emplace("message", view(r.message));
  return wrap("transfer-report", std::move(o));
}

}  // namespace

bool storage_token_request::accepts(std::string_view what) const {
  return std::find(accept.begin(), accept.end(), what) != accept.end();
}

const std::string& reqid_of(const device_request& r) {
  return std::visit([](const auto& x) -> const std::string& { return x.reqid; }, r);
}

result<std::pair<dialect, device_request>> decode_device_request(std::string_view topic_id, std::string_view payload) {
  if (!is_decimal_id(topic_id)) return fail(errc::invalid_argument, "the topic's id must be 1 to 20 decimal digits");
  TRY(const auto o, parse_json_object(payload, max_message_bytes));
  const json_reader root(o);
  TRY(const auto method, root.text("method", 256));
  TRY(const auto params, root.object("params"));

  if (method == "StorageToken") {
    TRY(auto r, read_evp1_token_request(params, topic_id));
    return std::pair<dialect, device_request>(dialect::evp1, std::move(r));
  }
  if (method != "evp-d2c") return fail(errc::unsupported, "method", "unknown method: use evp-d2c or StorageToken");

  TRY(const auto token, params.optional_object("storagetoken-request"));
  if (token) return as_evp2(read_token_request(*token, topic_id));
  TRY(const auto certificate, params.optional_object("certificate-request"));
  if (certificate) return as_evp2(read_certificate_request(*certificate, topic_id));
  TRY(const auto report, params.optional_object("transfer-report"));
  if (report) return as_evp2(read_transfer_report(*report, topic_id));
  TRY(const auto renewal, params.optional_object("grant-renew"));
  if (renewal) return as_evp2(read_renewal(*renewal, topic_id));
  return fail(errc::unsupported, "params",
              "unknown request: use storagetoken-request, certificate-request, transfer-report or grant-renew");
}

std::string encode(const device_request& r) {
  return std::visit([](const auto& x) { return json::serialize(write(x)); }, r);
}

}  // namespace evp::wire
