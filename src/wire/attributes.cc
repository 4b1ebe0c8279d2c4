// Attributes: what a device says of itself, and the state of the world that the hub gives it.
#include <boost/json/parse.hpp>

#include "wire/fields.h"

namespace evp::wire {
namespace {

constexpr std::string_view state_prefix = "state/";
constexpr std::string_view configuration_prefix = "configuration/";

std::optional<dialect> protocol_of(const json::object& system_info) {
  const auto* v = system_info.if_contains("protocolVersion");
  if (!v || !v->is_string()) return std::nullopt;
  if (v->get_string() == "EVP1") return dialect::evp1;
  if (v->get_string() == "EVP2-TB") return dialect::evp2;
  return std::nullopt;
}

// EVP2 sends the object, EVP1 a string that holds it.
result<std::string> read_status(const json::value& v) {
  if (v.is_object()) return text_of(v);
  if (v.is_string()) {
    auto inner = parse_json_object(view(v.get_string()), max_message_bytes);
    if (inner) return json::serialize(*inner);
  }
  return fail(errc::invalid_argument, "deploymentStatus",
              "deploymentStatus must be an object, or a string that holds one");
}

// States of the agent itself ("state/$agent/...") are numbers and null too: these are kept as JSON text.
result<std::string> read_state(dialect d, const std::string& key, const json::value& v) {
  if (!v.is_string()) return text_of(v);
  if (d == dialect::evp2 || key.starts_with("$agent/")) return std::string(view(v.get_string()));
  auto bytes = from_base64(view(v.get_string()));
  if (!bytes) return fail(std::move(std::move(bytes).error()).at(std::string(state_prefix) + key));
  return std::move(*bytes);
}

// EVP1 agents insist on a version and an entry point in each instance; EVP2 has the latter in the module.
std::string evp1_deployment(const std::string& text) {
  boost::json::error_code ec;
  auto root = json::parse(view(text), ec);
  if (ec || !root.is_object()) return text;
  auto* instances = root.get_object().if_contains("instanceSpecs");
  const auto* modules = root.get_object().if_contains("modules");
  if (!instances || !instances->is_object() || !modules || !modules->is_object()) return text;
  for (auto& entry : instances->get_object()) {
    if (!entry.value().is_object()) continue;
    auto& spec = entry.value().get_object();
    if (!spec.contains("version")) spec.emplace("version", 1);
    const auto* id = spec.if_contains("moduleId");
    const auto* module_spec = id && id->is_string() ? modules->get_object().if_contains(id->get_string()) : nullptr;
    if (spec.contains("entryPoint") || !module_spec || !module_spec->is_object()) continue;
    if (const auto* point = module_spec->get_object().if_contains("entryPoint")) spec.emplace("entryPoint", *point);
  }
  return text_of(root);
}

// The deployment's text goes out as it was stored, so that it is not parsed once more for each device.
std::string encode_body(dialect d, const shared_attributes& s) {
  std::string out = "{";
  const auto add = [&out](std::string_view key, std::string_view json_text) {
    if (out.size() > 1) out += ',';
    out += json::serialize(json::value(view(key)));
    out += ':';
    out += json_text;
  };
  const auto quoted = [](std::string_view text) { return json::serialize(json::value(view(text))); };
  if (s.deployment) add("deployment", d == dialect::evp1 ? quoted(evp1_deployment(*s.deployment)) : *s.deployment);
  for (const auto& [key, value] : s.configuration)
    add(std::string(configuration_prefix) + key, quoted(d == dialect::evp1 ? to_base64(value) : value));
  if (!s.deleted_configuration.empty()) {
    json::array list;
    for (const auto& key : s.deleted_configuration) list.emplace_back(view(std::string(configuration_prefix) + key));
    add("deleted", json::serialize(list));
  }
  return out + "}";
}

result<void> read_shared(const json::object& o, shared_attributes& out) {
  for (const auto& field : o) {
    const std::string key(field.key().data(), field.key().size());
    const auto& v = field.value();
    if (key == "deployment" && !v.is_null()) {
      if (!v.is_object()) return fail(errc::invalid_argument, key, "deployment must be an object");
      out.deployment = text_of(v);
    } else if (key.starts_with(configuration_prefix)) {
      out.configuration[key.substr(configuration_prefix.size())] =
          v.is_string() ? std::string(view(v.get_string())) : text_of(v);
    } else if (key == "deleted") {
      if (!v.is_array()) return fail(errc::invalid_argument, key, "deleted must be an array");
      for (const auto& item : v.get_array()) {
        const auto name = item.is_string() ? view(item.get_string()) : std::string_view();
        if (name.starts_with(configuration_prefix))
          out.deleted_configuration.emplace_back(name.substr(configuration_prefix.size()));
      }
    }
  }
  return {};
}

}  // namespace

result<client_attributes> decode_client_attributes(dialect known, std::string_view payload) {
  TRY(const auto o, parse_json_object(payload, max_message_bytes));
  client_attributes out;
  if (const auto* info = o.if_contains("systemInfo"); info && info->is_object()) {
    out.system_info = text_of(*info);
    out.protocol = protocol_of(info->get_object());
  }
  const auto d = out.protocol.value_or(known);
  for (const auto& field : o) {
    const std::string key(field.key().data(), field.key().size());
    if (key == "deploymentStatus") {
      TRY(out.deployment_status, read_status(field.value()));
    } else if (key.starts_with(state_prefix)) {
      const auto name = key.substr(state_prefix.size());
      TRY(out.states[name], read_state(d, name, field.value()));
    }
  }
  return out;
}

result<std::string> decode_telemetry(std::string_view payload) {
  TRY(const auto o, parse_json_object(payload, max_message_bytes));
  return json::serialize(o);
}

std::string encode_attributes_response(dialect d, const shared_attributes& s) {
  auto body = encode_body(d, s);
  if (body == "{}") return body;
  return "{\"shared\":" + body + "}";
}

std::string encode_attributes_patch(dialect d, const shared_attributes& s) { return encode_body(d, s); }

result<shared_attributes> decode_shared_attributes(std::string_view payload, bool is_response) {
  TRY(const auto o, parse_json_object(payload, max_message_bytes));
  shared_attributes out;
  if (!is_response) {
    CHECK(read_shared(o, out));
    return out;
  }
  TRY(const auto shared, json_reader(o).optional_object("shared"));
  if (shared) CHECK(read_shared(shared->fields(), out));
  return out;
}

}  // namespace evp::wire
