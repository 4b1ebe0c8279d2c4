// The backend's place at the broker.
#include "api/mqtt_hub.h"

#include <spdlog/spdlog.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/encoding.h"

namespace evp::api {
namespace {

namespace control_ns = mqtt::control;

// Replicas share what devices send; each of them hears of every device's coming and going.
constexpr std::string_view devices_filter = "$share/evp-backend/evp/devices/#";
constexpr std::string_view presence_filter = "evp/presence/+";
constexpr std::string_view relative_prefix = "v1/devices/me/";
constexpr milliseconds tell_again{1'000};

result<control_ns::command> as_command(const backend::device_credentials& d) {
  TRY(auto digest, from_hex(d.token_sha256));
  return control_ns::set_device{.id = d.id, .token_sha256 = std::move(digest), .blocked = d.blocked};
}

}  // namespace

// One batch on its way: the timer is its bound and, cancelled, its wake-up.
struct mqtt_hub::waiting {
  explicit waiting(io::executor ex) : timer(ex) {}
  io::asio::steady_timer timer;
  std::optional<result<void>> outcome;
};

mqtt_hub::mqtt_hub(io::executor ex, backend::backend& b, metrics& m, mqtt::options options)
    : ex_(ex),
      backend_(b),
      messages_(ex, b, m,
                [this](const std::string& device, std::string_view topic, std::string_view payload) {
                  return send(device, topic, payload);
                }),
      tasks_(ex) {
  mqtt::callbacks calls;
  calls.on_connected = [this] { on_connected(); };
  calls.on_disconnected = [this](const error& why) { on_disconnected(why); };
  calls.on_message = [this](mqtt::message msg) { on_message(std::move(msg)); };
  client_ = std::make_unique<mqtt::client>(ex, std::move(options), std::move(calls));
  client_->subscribe(std::string(presence_filter), 1);
  client_->subscribe(std::string(devices_filter), 1);
}

mqtt_hub::~mqtt_hub() = default;

void mqtt_hub::start() {
  client_->start();
  tasks_.spawn(tell_uploads());
}

io::task<void> mqtt_hub::stop(milliseconds grace) {
  ready_ = false;
  co_await tasks_.stop();
  co_await messages_.stop();
  co_await client_->stop(grace);
}

void mqtt_hub::on_connected() {
  ++session_;
  tasks_.spawn(tell_all());
}

void mqtt_hub::on_disconnected(const error& why) {
  if (ready_) spdlog::warn("the session at the broker ended: {}", why.message());
  ready_ = false;
  ++session_;
  for (auto& [number, w] : waiting_) {
    w->outcome = fail(errc::unavailable, "the session at the broker ended");
    w->timer.cancel();
  }
}

// The whole list, so that the broker also forgets devices that were removed while it or we were away.
io::task<void> mqtt_hub::tell_all() {
  const auto session = session_;
  for (bool again = true; again && session == session_;) {
    std::vector<control_ns::command> commands;
    if (!observer_token_sha256.empty()) commands.emplace_back(control_ns::set_observer{observer_token_sha256});
    commands.emplace_back(control_ns::replace_begin{});
    for (const auto& d : backend_.devices.all_credentials()) {
      auto c = as_command(d);
      if (c)
        commands.push_back(std::move(*c));
      else
        spdlog::error("device {}: its token's digest in the database is damaged; it cannot connect", d.id);
    }
    commands.emplace_back(control_ns::replace_end{});
    const auto told = co_await control(std::move(commands));
    if (told && session == session_) {
      ready_ = true;
      spdlog::info("the broker knows {} devices", backend_.devices.count().devices);
      if (on_ready) on_ready();
      co_return;
    }
    if (!told) spdlog::warn("the broker could not be told the devices: {}", told.error().message());
    again = co_await io::sleep_for(tell_again);
  }
}

io::task<result<void>> mqtt_hub::control(std::vector<control_ns::command> commands) {
  if (waiting_.size() >= max_waiting) co_return fail(errc::unavailable, "the broker does not keep up");
  const auto first = next_batch_;
  auto texts = control_ns::encode_all(first, commands);
  next_batch_ += texts.size();
  const auto last = first + texts.size() - 1;

  std::vector<std::shared_ptr<waiting>> mine;
  result<void> outcome;
  for (std::size_t i = 0; i < texts.size() && outcome; ++i) {
    auto w = std::make_shared<waiting>(ex_);
    w->timer.expires_after(control_timeout);
    waiting_.emplace(first + i, w);
    mine.push_back(std::move(w));
    outcome = client_->publish(control_ns::topic, texts[i], 1);
  }
  for (const auto& w : mine) {
    if (!outcome) break;
    boost::system::error_code ec;
    const bool answered_already = w->outcome.has_value();
    if (!answered_already) co_await w->timer.async_wait(io::asio::redirect_error(io::asio::use_awaitable, ec));
    if (w->outcome)
      outcome = *w->outcome;
    else
      outcome = fail(errc::unavailable, "the broker did not confirm in time: is its plugin loaded?");
  }
  for (auto number = first; number <= last; ++number) waiting_.erase(number);
  co_return outcome;
}

io::task<result<void>> mqtt_hub::set_device(backend::device_credentials d) {
  CO_TRY(auto c, as_command(d));
  std::vector<control_ns::command> commands;
  commands.push_back(std::move(c));
  auto outcome = co_await control(std::move(commands));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::remove_device(std::string id) {
  std::vector<control_ns::command> commands;
  commands.emplace_back(control_ns::remove_device{std::move(id)});
  auto outcome = co_await control(std::move(commands));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::kick(std::string id) {
  std::vector<control_ns::command> commands;
  commands.emplace_back(control_ns::kick_device{std::move(id)});
  auto outcome = co_await control(std::move(commands));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::push(std::string id, wire::dialect d, wire::shared_attributes patch) {
  co_return send(id, wire::attributes_topic, wire::encode_attributes_patch(d, patch));
}

io::task<result<void>> mqtt_hub::send_command(std::string id, wire::dialect d, wire::command_request c) {
  CO_TRY(const auto payload, wire::encode(d, c));
  co_return send(id, wire::to_string(wire::topic(wire::rpc_request{c.reqid})), payload);
}

result<void> mqtt_hub::send(const std::string& device, std::string_view topic, std::string_view payload) {
  std::string where(control_ns::downstream_prefix);
  where += device;
  where += '/';
  where += topic;
  return client_->publish(where, payload, 0);
}

void mqtt_hub::on_message(mqtt::message m) {
  const std::string_view topic = m.topic;
  if (topic == control_ns::ack_topic) {
    const auto ack = control_ns::decode_acknowledgement(m.payload);
    const auto found = ack ? waiting_.find(ack->number) : waiting_.end();
    if (found == waiting_.end()) return;
    found->second->outcome =
        ack->problem.empty() ? result<void>() : fail(errc::unavailable, "the broker: " + ack->problem);
    found->second->timer.cancel();
  } else if (topic.starts_with(control_ns::presence_prefix)) {
    const std::string device(topic.substr(control_ns::presence_prefix.size()));
    if (backend_.devices.exists(device)) backend_.states.on_presence(device, m.payload == "online");
  } else if (topic.starts_with(control_ns::upstream_prefix)) {
    const auto rest = topic.substr(control_ns::upstream_prefix.size());
    const auto slash = rest.find('/');
    if (slash == rest.npos) return;
    const auto relative = std::string(relative_prefix) + std::string(rest.substr(slash + 1));
    messages_.on_message(std::string(rest.substr(0, slash)), relative, std::move(m.payload));
  }
}

}  // namespace evp::api
