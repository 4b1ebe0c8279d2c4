// The deployment manifest, checked so strictly that no manifest can hurt an agent: some versions persist it before they
// look at it, and then crash at every start.
#include <algorithm>
#include <array>

#include "base/names.h"
#include "wire/fields.h"

namespace evp::wire {
namespace {

constexpr std::array<std::string_view, 5> implementations{"wasm", "spawn", "python", "docker", "dlfcn"};
constexpr std::string_view no_download = "EVP-BACKDOOR";  // the public agent's word for "already on the device"
constexpr std::size_t max_url_bytes = 2048;               // the public agent's bound on path and query

result<void> check_key(std::string_view name, std::string_view what, const std::string& path) {
  auto ok = check_name(name, what);
  if (!ok) return fail(std::move(std::move(ok).error()).at(path));
  return {};
}

std::string key_of(const json::key_value_pair& f) { return std::string(f.key().data(), f.key().size()); }

result<std::map<std::string, std::string>> read_aliases(const json_reader& instance, std::string_view key) {
  TRY(const auto aliases, instance.object(key));
  std::map<std::string, std::string> out;
  for (const auto& field : aliases.fields()) {
    const auto alias = key_of(field);
    TRY(auto topic_name, aliases.text(alias, 256));
    out.emplace(alias, std::move(topic_name));
  }
  return out;
}

// Streams are checked, not kept: a stream without a direction is among what crashes the public agent.
result<void> check_streams(const json_reader& instance) {
  TRY(const auto streams, instance.optional_object("streams"));
  if (!streams) return {};
  for (const auto& field : streams->fields()) {
    TRY(const auto one, streams->object(key_of(field)));
    TRY(const auto direction, one.text("direction", 16));
    if (direction != "in" && direction != "out")
      return fail(errc::invalid_argument, one.path_of("direction"), "direction must be \"in\" or \"out\"");
    TRY(const auto type, one.text("type", 16));
    if (type != "null" && type != "posix")
      return fail(errc::invalid_argument, one.path_of("type"), "type must be \"null\" or \"posix\"");
    TRY(const auto parameters, one.optional_object("parameters"));
    if (!parameters) {
      if (type == "posix")
        return fail(errc::invalid_argument, one.path_of("parameters"), "a posix stream needs parameters");
      continue;
    }
    for (const auto& p : parameters->fields()) CHECK(parameters->text(key_of(p), 256));
  }
  return {};
}

result<instance_spec> read_instance(const json_reader& r) {
  instance_spec out;
  TRY(out.module_id, r.text("moduleId", 256));
  TRY(out.publish, read_aliases(r, "publish"));
  TRY(out.subscribe, read_aliases(r, "subscribe"));
  TRY(const auto version, r.optional_integer("version"));
  out.version = version.value_or(1);
  for (const auto name : {"entryPoint", "rawContainerSpec", "rawContainerSpecSignature"}) CHECK(r.optional_text(name));
  CHECK(check_streams(r));
  return out;
}

result<module_spec> read_module(const json_reader& r) {
  module_spec out;
  TRY(out.impl, r.text("moduleImpl", 64));
  if (std::find(implementations.begin(), implementations.end(), out.impl) == implementations.end())
    return fail(errc::invalid_argument, r.path_of("moduleImpl"),
                fmt::format("{} must be one of wasm, spawn, python, docker, dlfcn", r.path_of("moduleImpl")));
  TRY(out.entry_point, r.text("entryPoint", 1024));

  TRY(auto url, r.optional_text("downloadUrl", max_url_bytes));
  TRY(auto hash, r.optional_text("hash", 256));
  if (hash && !hash->empty()) { TRY(out.hash, check_sha256(std::move(*hash), r.path_of("hash"))); }
  if (!url || url->empty() || *url == no_download) return out;
  const bool known_scheme = url->starts_with("http://") || url->starts_with("https://") || url->starts_with("file://");
  if (!known_scheme || has_control_characters(*url) || url->find(' ') != url->npos)
    return fail(errc::invalid_argument, r.path_of("downloadUrl"),
                fmt::format("{} must be an http, https or file URL", r.path_of("downloadUrl")));
  if (out.hash.empty())
    return fail(errc::invalid_argument, r.path_of("hash"),
                fmt::format("{} is missing: a module with a downloadUrl needs its SHA-256", r.path_of("hash")));
  out.download_url = secret(std::move(*url));
  return out;
}

result<std::map<std::string, topic_spec>> read_topics(const json_reader& root, std::string_view key) {
  std::map<std::string, topic_spec> out;
  TRY(const auto topics, root.optional_object(key));
  if (!topics) return out;
  for (const auto& field : topics->fields()) {
    const auto name = key_of(field);
    TRY(const auto one, topics->object(name));
    topic_spec spec;
    TRY(spec.type, one.text("type", 64));
    TRY(spec.topic, one.text("topic", 256));
    out.emplace(name, std::move(spec));
  }
  return out;
}

}  // namespace

result<deployment> decode_deployment(std::string_view text) {
  TRY(const auto o, parse_json_object(text, max_shared_bytes));
  const json_reader root(o);
  deployment out;
  TRY(auto id, root.optional_text("deploymentId", 256));
  out.id = id.value_or("");

  TRY(const auto modules, root.object("modules"));
  for (const auto& field : modules.fields()) {
    const auto name = key_of(field);
    CHECK(check_key(name, "a module id", modules.path_of(name)));
    TRY(const auto one, modules.object(name));
    TRY(auto spec, read_module(one));
    out.modules.emplace(name, std::move(spec));
  }

  TRY(const auto instances, root.object("instanceSpecs"));
  for (const auto& field : instances.fields()) {
    const auto name = key_of(field);
    CHECK(check_key(name, "an instance name", instances.path_of(name)));
    TRY(const auto one, instances.object(name));
    TRY(auto spec, read_instance(one));
    const auto used = out.modules.find(spec.module_id);
    if (used == out.modules.end())
      return fail(errc::invalid_argument, one.path_of("moduleId"),
                  fmt::format("{} names a module that is not among modules", one.path_of("moduleId")));
    if (used->second.entry_point.empty()) {
      const auto path = modules.path_of(spec.module_id) + ".entryPoint";
      return fail(errc::invalid_argument, path, fmt::format("{} must not be empty: an instance uses the module", path));
    }
    out.instances.emplace(name, std::move(spec));
  }

  TRY(out.publish_topics, read_topics(root, "publishTopics"));
  TRY(out.subscribe_topics, read_topics(root, "subscribeTopics"));
  return out;
}

}  // namespace evp::wire
