// What the hub answers to devices: encoded for both dialects at the hub, decoded at our runtime.
#include <algorithm>
#include <charconv>

#include "wire/fields.h"

namespace evp::wire {
namespace {

constexpr std::size_t max_url_bytes = 16 * 1024;  // no vendor's signed URL comes near
constexpr std::size_t max_headers = 64;
constexpr std::size_t max_pem_bytes = 100 * 1024;     // what fits a message with its escapes
constexpr std::int64_t max_millis = 253402300799999;  // the year 9999: what dates can be shown of

// ---- encoding ----

void write_failure(json::object& o, const error& e) {
  o.emplace("status", "error");
  o.emplace("errorMessage", view(e.message()));
  o.emplace("errorCode", view(to_string(e.code())));
  if (e.retry_after()) o.emplace("retryAfterMillis", std::to_string(e.retry_after()->count()));
}

std::string millis(timestamp t) { return std::to_string(t.time_since_epoch().count()); }

template <class Response>
void write_status(json::object& o, const Response& r) {
  o.emplace("reqid", view(r.reqid));
  if (r.failure)
    write_failure(o, *r.failure);
  else
    o.emplace("status", "ok");
}

json::object write_evp2(const storage_token_response& r) {
  json::object o;
  write_status(o, r);
  if (!r.failure) {
    if (!r.plan) o.emplace("URL", view(r.url.reveal()));
    if (r.expires_at) o.emplace("expiresAtMillis", millis(*r.expires_at));
    o.emplace("responseType", r.multifile ? "multifile" : "singlefile");
    if (r.plan)
      o.emplace("plan", write_plan(*r.plan));
    else
      o.emplace("headers", header_object(r.headers));
    if (r.operation == blob_operation::get) o.emplace("operation", "get");
    if (!r.grant_id.empty()) o.emplace("grantId", view(r.grant_id));
    if (!r.certificate_id.empty()) o.emplace("certificateId", view(r.certificate_id));
    if (r.expires_in) o.emplace("expiresInMillis", std::to_string(r.expires_in->count()));
    if (!r.expect.empty()) o.emplace("expect", json::array(r.expect.begin(), r.expect.end()));
    if (r.offline) o.emplace("offline", true);
    if (r.create_only) o.emplace("createOnly", true);
  }
  json::object out;
  out.emplace("storagetoken-response", std::move(o));
  return out;
}

json::object write_evp1(const storage_token_response& r) {
  json::object params;
  if (r.failure) {
    params.emplace("status", "error");
    params.emplace("errorMessage", view(r.failure->message()));
  } else {
    params.emplace("status", "ok");
    params.emplace("URL", view(r.url.reveal()));
    params.emplace("headers", header_object(r.headers));
    if (r.expires_at) params.emplace("expiresAtMillis", millis(*r.expires_at));
    params.emplace("responseType", r.multifile ? "multifile" : "singlefile");
  }
  json::object out;
  out.emplace("method", "StorageToken");
  out.emplace("params", std::move(params));
  return out;
}

json::object write(dialect d, const storage_token_response& r) {
  return d == dialect::evp1 ? write_evp1(r) : write_evp2(r);
}

json::object write(dialect, const certificate_response& r) {
  json::object o, out;
  write_status(o, r);
  if (!r.failure) {
    o.emplace("certificateId", view(r.certificate_id));
    o.emplace("pem", view(r.pem));
  }
  out.emplace("certificate-response", std::move(o));
  return out;
}

json::object write(dialect, const grant_renew_response& r) {
  json::object o, out;
  write_status(o, r);
  if (!r.failure) {
    if (r.expires_in) o.emplace("expiresInMillis", std::to_string(r.expires_in->count()));
    o.emplace("parts", write_parts(r.parts));
  }
  out.emplace("grant-renew-response", std::move(o));
  return out;
}

json::object write(dialect, const transfer_report_response& r) {
  json::object o, out;
  write_status(o, r);
  o.emplace("verified", r.verified);
  out.emplace("transfer-report-response", std::move(o));
  return out;
}

// ---- decoding ----

result<std::optional<milliseconds>> read_millis(const json_reader& r, std::string_view key) {
  const auto* v = r.fields().if_contains(view(key));
  if (!v || v->is_number()) return std::optional<milliseconds>();  // the public agent ignores a JSON number
  TRY(const auto n, r.optional_decimal(key));
  if (!n) return std::optional<milliseconds>();
  if (*n > std::uint64_t(max_millis))
    return fail(errc::invalid_argument, r.path_of(key), fmt::format("{} is beyond the year 9999", key));
  return std::optional(milliseconds(std::int64_t(*n)));
}

// errorMessage alone decides, whatever `status` says. An older hub gives no errorCode: then it is final, as it is for
// the public agent.
result<std::optional<error>> read_failure(const json_reader& r) {
  if (!r.has("errorMessage")) return std::optional<error>();
  TRY(auto message, r.text("errorMessage"));
  TRY(const auto name, r.optional_text("errorCode"));
  const auto code = name ? errc_from_string(*name) : std::nullopt;
  error e(code.value_or(errc::failed_precondition), std::move(message));
  TRY(const auto wait, read_millis(r, "retryAfterMillis"));
  if (wait) return std::optional(std::move(std::move(e).after(*wait)));
  return std::optional(std::move(e));
}

result<storage_token_response> read_token(const json_reader& r, std::string_view topic_id) {
  storage_token_response out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.failure, read_failure(r));
  if (out.failure) return out;

  TRY(const auto plan, r.optional_object("plan"));
  if (plan) {
    TRY(out.plan, read_plan(*plan));
  } else {
    TRY(out.url, read_url(r, "URL"));
    TRY(out.headers, read_headers(r));
  }
  TRY(const auto expires, read_millis(r, "expiresAtMillis"));
  if (expires) out.expires_at = timestamp(*expires);
  TRY(const auto type, r.optional_text("responseType"));
  if (type && *type != "singlefile" && *type != "multifile")
    return fail(errc::invalid_argument, r.path_of("responseType"), "responseType must be singlefile or multifile");
  out.multifile = type && *type == "multifile";
  TRY(const auto op, r.optional_text("operation"));
  if (op && *op == "get") out.operation = blob_operation::get;
  TRY(auto grant, r.optional_text("grantId", 128));
  out.grant_id = grant.value_or("");
  TRY(auto certificate, r.optional_text("certificateId", 128));
  out.certificate_id = certificate.value_or("");
  TRY(out.expires_in, read_millis(r, "expiresInMillis"));
  TRY(out.expect, read_expect(r));
  TRY(const auto offline, r.optional_boolean("offline"));
  out.offline = offline.value_or(false);
  TRY(const auto create_only, r.optional_boolean("createOnly"));
  out.create_only = create_only.value_or(false);
  return out;
}

result<certificate_response> read_certificate(const json_reader& r, std::string_view topic_id) {
  certificate_response out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.failure, read_failure(r));
  if (out.failure) return out;
  TRY(out.certificate_id, r.text("certificateId", 128));
  TRY(out.pem, r.text("pem", max_pem_bytes));
  return out;
}

result<transfer_report_response> read_report(const json_reader& r, std::string_view topic_id) {
  transfer_report_response out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.failure, read_failure(r));
  TRY(const auto verified, r.optional_boolean("verified"));
  out.verified = verified.value_or(false);
  return out;
}

result<grant_renew_response> read_renewal(const json_reader& r, std::string_view topic_id) {
  grant_renew_response out;
  out.reqid = reqid_or(r, topic_id);
  TRY(out.failure, read_failure(r));
  if (out.failure) return out;
  TRY(out.expires_in, read_millis(r, "expiresInMillis"));
  TRY(out.parts, read_parts(r));
  return out;
}

template <class T>
result<hub_response> widen(result<T> r) {
  TRY(auto value, std::move(r));
  return hub_response(std::move(value));
}

bool is_token(std::string_view name) {  // RFC 9110, 5.6.2
  const auto ok = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), ok);
}

}  // namespace

json::object header_object(const std::vector<name_value>& headers) {
  json::object o;
  for (const auto& h : headers) o.emplace(view(h.name), view(h.value));
  return o;
}

result<std::vector<name_value>> read_headers(const json_reader& r) {
  std::vector<name_value> out;
  TRY(const auto headers, r.optional_object("headers"));
  if (!headers) return out;
  if (headers->fields().size() > max_headers)
    return fail(errc::too_large, r.path_of("headers"), fmt::format("more than {} headers", max_headers));
  for (const auto& field : headers->fields()) {
    const std::string name(field.key().data(), field.key().size());
    TRY(auto value, headers->text(name));
    if (!is_token(name) || has_control_characters(value))
      return fail(errc::invalid_argument, headers->path_of(name), "not a header that HTTP can carry");
    out.push_back({name, std::move(value)});
  }
  return out;
}

result<std::vector<int>> read_expect(const json_reader& r) {
  std::vector<int> out;
  TRY(const auto* list, r.optional_array("expect"));
  if (!list) return out;
  for (const auto& v : *list) {
    if (!v.is_int64() || v.get_int64() < 100 || v.get_int64() > 599 || out.size() >= 16)
      return fail(errc::invalid_argument, r.path_of("expect"), "expect must be at most 16 HTTP statuses");
    out.push_back(int(v.get_int64()));
  }
  return out;
}

result<secret> read_url(const json_reader& r, std::string_view key) {
  TRY(auto url, r.text(key, max_url_bytes));
  if (url.empty() || has_control_characters(url) || url.find(' ') != url.npos)
    return fail(errc::invalid_argument, r.path_of(key),
                fmt::format("{} must not be empty, nor hold spaces or control characters", key));
  return secret(std::move(url));
}

const std::string& reqid_of(const hub_response& r) {
  return std::visit([](const auto& x) -> const std::string& { return x.reqid; }, r);
}

std::string encode(dialect d, const hub_response& r) {
  return std::visit([d](const auto& x) { return json::serialize(write(d, x)); }, r);
}

result<hub_response> decode_hub_response(std::string_view topic_id, std::string_view payload) {
  if (!is_decimal_id(topic_id)) return fail(errc::invalid_argument, "the topic's id must be 1 to 20 decimal digits");
  TRY(const auto o, parse_json_object(payload, max_message_bytes));
  const json_reader root(o);
  TRY(const auto token, root.optional_object("storagetoken-response"));
  if (token) return widen(read_token(*token, topic_id));
  TRY(const auto certificate, root.optional_object("certificate-response"));
  if (certificate) return widen(read_certificate(*certificate, topic_id));
  TRY(const auto report, root.optional_object("transfer-report-response"));
  if (report) return widen(read_report(*report, topic_id));
  TRY(const auto renewal, root.optional_object("grant-renew-response"));
  if (renewal) return widen(read_renewal(*renewal, topic_id));
  return fail(errc::invalid_argument,
              "no response of the protocol: storagetoken-, certificate-, transfer-report- or grant-renew-response");
}

}  // namespace evp::wire
