#include "backend/deployments.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/names.h"
#include "sql/deployments_store.h"
#include "wire/module_sources.h"

namespace evp::backend {
namespace {

tl::unexpected<error> no_device() { return fail(errc::not_found, "there is no device of that id"); }

std::int64_t now_ms(const io::clock& c) { return c.now().time_since_epoch().count(); }

/// Topics are segments of names: "a", "a/b".
result<void> check_key(const std::string& instance, const std::string& topic) {
  if (auto ok = check_name(instance, "an instance name"); !ok)
    return fail(std::move(std::move(ok).error()).at("instance"));
  if (topic.size() > deployments::max_topic_bytes)
    return fail(errc::invalid_argument, "topic",
                fmt::format("topic must have at most {} bytes", deployments::max_topic_bytes));
  if (auto ok = check_object_name(topic); !ok) return fail(std::move(std::move(ok).error()).at("topic"));
  return {};
}

}  // namespace

io::task<result<wire::shared_attributes>> deployments::stored(std::string device) {
  using shared = wire::shared_attributes;
  std::function<result<shared>(sql::connection&)> read = [device](sql::connection& c) -> result<shared> {
    shared out;
    TRY(out.deployment, sql::find_deployment(c, device));
    TRY(auto rows, sql::list_configuration(c, device));
    for (auto& r : rows) out.configuration[std::move(r.key)] = std::move(r.value);
    return out;
  };
  auto outcome = co_await db_.run<shared>(std::move(read));
  co_return outcome;
}

result<std::string> deployments::with_module_urls(const std::string& manifest, std::string_view tenant) const {
  TRY(const auto d, wire::decode_deployment(manifest));
  std::map<std::string, wire::module_source> sources;
  for (const auto& [id, spec] : d.modules) {
    if (!spec.download_url.empty()) continue;
    TRY(const auto scoped, scoped_name(tenant, id));
    const auto ours = modules_.get(scoped);
    if (!ours) continue;
    TRY(auto url, modules_.signed_url(scoped));
    sources[id] = {std::move(url), ours->sha256};
  }
  if (sources.empty()) return manifest;
  TRY(const auto filled, wire::insert_module_sources(manifest, sources));
  return filled.reveal();
}

result<void> deployments::check_size(const std::string& device, wire::shared_attributes all) const {
  if (all.deployment) { TRY(all.deployment, with_module_urls(*all.deployment, tenant_of(device))); }
  const auto size = wire::encode_attributes_response(states_.dialect_of(device), all).size();
  if (size <= wire::max_shared_bytes) return {};
  return fail(errc::too_large,
              fmt::format("deployment and configuration together would have {} bytes as the device receives them; "
                          "at most {} are possible, as agents receive no larger message",
                          size, wire::max_shared_bytes));
}

io::task<pushed> deployments::push(std::string device, wire::shared_attributes patch) {
  pushed out;
  if (!gateway_ || !states_.online(device) || !devices_.check_active(device)) co_return out;
  const auto dialect = states_.dialect_of(device);
  const auto sent = co_await gateway_->push(std::move(device), dialect, std::move(patch));
  out.sent = sent.has_value();
  if (!sent) out.broker = sent.error();
  co_return out;
}

io::task<result<pushed>> deployments::set_deployment(std::string device, std::string manifest, origin by) {
  if (!devices_.exists(device)) co_return no_device();
  CO_TRY(const auto d, wire::decode_deployment(manifest));
  std::vector<std::string> ours;
  for (const auto& [id, spec] : d.modules) {
    if (!spec.download_url.empty()) continue;
    CO_TRY(auto scoped, scoped_name(tenant_of(device), id));
    if (modules_.get(scoped)) {
      ours.push_back(std::move(scoped));
      continue;
    }
    if (!spec.entry_point.starts_with('/'))  // a program that is on the device already
      co_return fail(
          errc::invalid_argument, "modules." + id + ".downloadUrl",
          fmt::format("module {} has no downloadUrl and was not uploaded: PUT its file to /v1/modules/<id> first", id));
  }
  CO_TRY(auto all, co_await stored(device));
  all.deployment = manifest;
  CO_CHECK(check_size(device, all));

  auto note =
      done_now(clock_, by, action::deployment_set, kind::deployment, device, "sha256=" + to_hex(sha256(manifest)));
  std::function<result<void>(sql::connection&)> put = [device, manifest, ours, note,
                                                       now = now_ms(clock_)](sql::connection& c) {
    return noted(c, note, sql::put_deployment(c, device, manifest, ours, now));
  };
  CO_CHECK(co_await db_.run<void>(std::move(put)));
  wire::shared_attributes patch;
  CO_TRY(patch.deployment, with_module_urls(manifest, tenant_of(device)));
  auto outcome = co_await push(std::move(device), std::move(patch));
  co_return outcome;
}

io::task<result<std::string>> deployments::get_deployment(std::string device) {
  if (!devices_.exists(device)) co_return no_device();
  CO_TRY(auto all, co_await stored(std::move(device)));
  if (!all.deployment) co_return fail(errc::not_found, "the device has no deployment");
  co_return *std::move(all.deployment);
}

io::task<result<pushed>> deployments::remove_deployment(std::string device, origin by) {
  if (!devices_.exists(device)) co_return no_device();
  std::function<result<bool>(sql::connection&)> drop =
      [device, note = done_now(clock_, by, action::deployment_remove, kind::deployment, device)](sql::connection& c) {
        return noted(c, note, sql::remove_deployment(c, device));
      };
  CO_TRY(const bool removed, co_await db_.run<bool>(std::move(drop)));
  if (!removed) co_return fail(errc::not_found, "the device has no deployment");
  wire::shared_attributes patch;
  patch.deployment = std::string(wire::empty_manifest);
  auto outcome = co_await push(std::move(device), std::move(patch));
  co_return outcome;
}

io::task<result<pushed>> deployments::set_configuration(std::string device, std::string instance, std::string topic,
                                                        std::string value, origin by) {
  if (!devices_.exists(device)) co_return no_device();
  CO_CHECK(check_key(instance, topic));
  if (!is_utf8(value) || value.find('\0') != value.npos)
    co_return fail(errc::invalid_argument, "value", "value must be UTF-8 text without a zero byte");
  const std::string key = instance + "/" + topic;
  CO_TRY(auto all, co_await stored(device));
  all.configuration[key] = value;
  if (all.configuration.size() > max_configuration_keys)
    co_return fail(errc::too_large,
                   fmt::format("a device may have at most {} configuration values", max_configuration_keys));
  CO_CHECK(check_size(device, all));

  sql::configuration_row row{key, value};
  auto note = done_now(clock_, by, action::configuration_set, kind::configuration, device + "/" + key,
                       "sha256=" + to_hex(sha256(value)));
  std::function<result<void>(sql::connection&)> put = [device, row, note, now = now_ms(clock_)](sql::connection& c) {
    return noted(c, note, sql::put_configuration(c, device, row, now));
  };
  CO_CHECK(co_await db_.run<void>(std::move(put)));
  wire::shared_attributes patch;
  patch.configuration[key] = std::move(value);
  auto outcome = co_await push(std::move(device), std::move(patch));
  co_return outcome;
}

io::task<result<std::map<std::string, std::string>>> deployments::list_configuration(std::string device) {
  if (!devices_.exists(device)) co_return no_device();
  CO_TRY(auto all, co_await stored(std::move(device)));
  co_return std::move(all.configuration);
}

io::task<result<pushed>> deployments::remove_configuration(std::string device, std::string instance, std::string topic,
                                                           origin by) {
  if (!devices_.exists(device)) co_return no_device();
  CO_CHECK(check_key(instance, topic));
  const std::string key = instance + "/" + topic;
  std::function<result<bool>(sql::connection&)> drop =
      [device, key, note = done_now(clock_, by, action::configuration_remove, kind::configuration, device + "/" + key)](
          sql::connection& c) { return noted(c, note, sql::remove_configuration(c, device, key)); };
  CO_TRY(const bool removed, co_await db_.run<bool>(std::move(drop)));
  if (!removed) co_return fail(errc::not_found, "the device has no such configuration");
  wire::shared_attributes patch;
  patch.deleted_configuration.push_back(key);
  auto outcome = co_await push(std::move(device), std::move(patch));
  co_return outcome;
}

io::task<result<wire::shared_attributes>> deployments::shared(std::string device) {
  CO_CHECK(devices_.check_active(device));
  CO_TRY(auto all, co_await stored(device));
  if (!all.deployment) {
    all.deployment = std::string(wire::empty_manifest);
    co_return all;
  }
  CO_TRY(all.deployment, with_module_urls(*all.deployment, tenant_of(device)));
  co_return all;
}

}  // namespace evp::backend
