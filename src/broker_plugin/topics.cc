#include "broker_plugin/topics.h"

#include "base/names.h"
#include "mqtt/control.h"

namespace evp::broker_plugin {
namespace {

namespace control = mqtt::control;
constexpr std::string_view view = "v1/devices/me/";
constexpr std::string_view backend_own = "evp/backend/";  // among replicas of the backend

bool below(std::string_view prefix, std::string_view topic) {
  return topic.size() > prefix.size() && topic.starts_with(prefix);
}

}  // namespace

std::optional<std::string> upstream(std::string_view device, std::string_view topic) {
  if (!below(view, topic)) return std::nullopt;
  std::string mapped(control::upstream_prefix);
  mapped.append(device).append("/").append(topic.substr(view.size()));
  return mapped;
}

std::optional<target> downstream(std::string_view topic) {
  if (!below(control::downstream_prefix, topic)) return std::nullopt;
  topic.remove_prefix(control::downstream_prefix.size());
  const auto slash = topic.find('/');
  if (slash == topic.npos) return std::nullopt;
  const target t{topic.substr(0, slash), topic.substr(slash + 1)};
  if (!check_scoped_name(t.device, "device") || !below(view, t.topic)) return std::nullopt;
  return t;
}

bool device_may_publish(std::string_view topic) noexcept { return below(view, topic); }
bool device_may_subscribe(std::string_view filter) noexcept { return below(view, filter); }
bool device_may_receive(std::string_view topic) noexcept { return below(view, topic); }

bool backend_may_publish(std::string_view topic) noexcept {
  return topic == control::topic || below(backend_own, topic) || below(control::uploads_prefix, topic) ||
         downstream(topic);
}

bool observer_may_subscribe(std::string_view filter) noexcept { return below(control::uploads_prefix, filter); }
bool observer_may_receive(std::string_view topic) noexcept { return below(control::uploads_prefix, topic); }

bool backend_may_subscribe(std::string_view filter) noexcept {
  constexpr std::string_view shared = "$share/";
  if (filter.starts_with(shared)) {
    const auto slash = filter.find('/', shared.size());
    return slash != filter.npos && below("evp/", filter.substr(slash + 1));
  }
  return below("evp/", filter) || below("$SYS/", filter);
}

bool backend_may_receive(std::string_view topic) noexcept { return below("evp/", topic) || below("$SYS/", topic); }

}  // namespace evp::broker_plugin
