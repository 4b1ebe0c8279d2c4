// Direct commands: the hub asks an instance on a device, the device answers, in both dialects.
#include "wire/fields.h"

namespace evp::wire {
namespace {

constexpr std::string_view unknown_error = "Unknown error";        // the public agent's word for a failed method
constexpr std::string_view method_not_found = "Method not found";  // the public agent's word for an unknown method

result<command_response> read_evp2(const json_reader& r, std::string_view topic_id) {
  command_response out;
  out.reqid = reqid_or(r, topic_id);
  TRY(const auto status, r.text("status", 64));
  TRY(auto message, r.optional_text("errorMessage"));
  out.error_message = message.value_or("");
  out.status = status == "ok"                          ? command_status::ok
               : out.error_message == method_not_found ? command_status::method_not_found
                                                       : command_status::error;
  if (const auto* v = r.fields().if_contains("response"))
    out.response = v->is_string() ? std::string(view(v->get_string())) : text_of(*v);
  return out;
}

result<command_response> read_evp1(const json_reader& r, std::string_view topic_id) {
  command_response out;
  out.reqid = topic_id;
  TRY(const auto status, r.optional_integer("status"));
  if (!status || *status < 0 || *status > 2)
    return fail(errc::invalid_argument, "status", "status must be 0 (ok), 1 (method not found) or 2 (error)");
  out.status = static_cast<command_status>(*status);
  if (const auto* v = r.fields().if_contains("response")) out.response = text_of(*v);
  if (out.status == command_status::method_not_found) out.error_message = method_not_found;
  if (out.status == command_status::error) out.error_message = unknown_error;
  return out;
}

}  // namespace

result<std::string> encode(dialect d, const command_request& c) {
  if (!is_decimal_id(c.reqid)) return fail(errc::invalid_argument, "reqid", "reqid must be 1 to 20 decimal digits");
  auto params = parse_json(c.params, max_message_bytes);
  if (!params) return fail(std::move(std::move(params).error()).at("params"));
  json::object body, inner, out;
  if (d == dialect::evp1) {
    out.emplace("method", "ModuleMethodCall");
    body.emplace("moduleInstance", view(c.instance));
    body.emplace("moduleMethod", view(c.method));
    body.emplace("params", std::move(*params));
  } else {
    out.emplace("method", "evp-c2d");
    inner.emplace("reqid", view(c.reqid));
    inner.emplace("method", view(c.method));
    inner.emplace("instance", view(c.instance));
    inner.emplace("params", view(c.params));
    body.emplace("direct-command-request", std::move(inner));
  }
  out.emplace("params", std::move(body));
  auto text = json::serialize(out);
  if (text.size() > max_message_bytes - 1024)  // the agent's buffer holds the packet's head too
    return fail(
        errc::too_large, "params",
        fmt::format("the command takes {} bytes, a device can receive {}", text.size(), max_message_bytes - 1024));
  return text;
}

result<command_response> decode_command_response(std::string_view topic_id, std::string_view payload) {
  if (!is_decimal_id(topic_id)) return fail(errc::invalid_argument, "the topic's id must be 1 to 20 decimal digits");
  TRY(const auto o, parse_json_object(payload, max_message_bytes));
  const json_reader root(o);
  TRY(const auto body, root.optional_object("direct-command-response"));
  if (body) return read_evp2(*body, topic_id);
  if (root.has("moduleInstance")) return read_evp1(root, topic_id);
  return fail(errc::invalid_argument, "no answer to a command: direct-command-response or moduleInstance is missing");
}

result<command_request> decode_command_request(std::string_view topic_id, std::string_view payload) {
  if (!is_decimal_id(topic_id)) return fail(errc::invalid_argument, "the topic's id must be 1 to 20 decimal digits");
  TRY(const auto o, parse_json_object(payload, max_message_bytes));
  const json_reader root(o);
  TRY(const auto method, root.text("method", 256));
  if (method != "evp-c2d") return fail(errc::unsupported, "method", "unknown method: use evp-c2d");
  TRY(const auto params, root.object("params"));
  TRY(const auto body, params.object("direct-command-request"));
  command_request out;
  out.reqid = reqid_or(body, topic_id);
  TRY(out.instance, body.text("instance", 256));
  TRY(out.method, body.text("method", 256));
  const auto* v = body.fields().if_contains("params");
  out.params = !v ? "null" : v->is_string() ? std::string(view(v->get_string())) : text_of(*v);
  return out;
}

std::string encode(const command_response& r) {
  json::object body, out;
  body.emplace("status", r.status == command_status::ok ? "ok" : "error");
  if (r.status == command_status::method_not_found) body.emplace("errorMessage", view(method_not_found));
  if (r.status == command_status::error)
    body.emplace("errorMessage", view(r.error_message.empty() ? unknown_error : std::string_view(r.error_message)));
  body.emplace("reqid", view(r.reqid));
  body.emplace("response", view(r.response));
  out.emplace("direct-command-response", std::move(body));
  return json::serialize(out);
}

}  // namespace evp::wire
