#include "api/mqtt_hub.h"

#include <spdlog/spdlog.h>

namespace evp::api {
namespace {

namespace control = mqtt::control;

constexpr std::string_view relative_prefix = "v1/devices/me/";
constexpr milliseconds look_again{1'000};  // for elder sessions that are still there
constexpr milliseconds idle{3'600'000};
constexpr std::size_t elders_at_once = 1'000;  // about a message for each broker

}  // namespace

mqtt_hub::mqtt_hub(io::executor ex, backend::backend& b, metrics& m, std::vector<broker_address> brokers,
                   std::string observer_token_sha256)
    : backend_(b), messages_(ex, b, m), tasks_(ex) {
  for (auto& a : brokers) {
    const auto here = brokers_.size();
    auto& one = *brokers_.emplace_back(std::make_unique<broker>(ex, b, std::move(a)));
    one.link.observer_token_sha256 = observer_token_sha256;
    one.link.on_message = [this, here](mqtt::message msg) { on_message(here, std::move(msg)); };
    one.link.on_lost = [this, here] { on_lost(here); };
    one.answers = [&one](const std::string& device, std::string_view topic, std::string_view payload) {
      return one.link.send(device, topic, payload);
    };
  }
}

mqtt_hub::~mqtt_hub() = default;

void mqtt_hub::start() {
  for (auto& b : brokers_) b->link.start();
  if (brokers_.size() > 1) tasks_.spawn(end_elders());
}

io::task<void> mqtt_hub::stop(milliseconds grace) {
  doubled_.close();
  co_await tasks_.stop();
  // What has come is answered; what comes from now on is for other backends.
  std::vector<std::shared_ptr<broker_link::change>> last;
  for (auto& b : brokers_) last.push_back(b->link.stop_listening());
  for (std::size_t i = 0; i < last.size(); ++i) (void)co_await brokers_[i]->link.acknowledged(last[i]);
  co_await messages_.finish(grace);
  co_await messages_.stop();
  for (auto& b : brokers_) co_await b->link.stop(grace);
}

std::vector<broker_state> mqtt_hub::brokers() const {
  std::vector<broker_state> out;
  for (const auto& b : brokers_) out.push_back({b->link.name(), b->link.ready()});
  return out;
}

// All are told at once, and then waited for: one that does not answer holds up none but the caller.
io::task<result<void>> mqtt_hub::tell_all(std::vector<control::command> commands) {
  std::vector<std::shared_ptr<broker_link::change>> changes;
  for (auto& b : brokers_) changes.push_back(b->link.begin(commands));
  result<void> outcome;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto told = co_await brokers_[i]->link.settle(changes[i]);
    if (told) continue;
    const auto before = outcome ? std::string() : outcome.error().message() + "; ";
    outcome = fail(errc::unavailable, before + told.error().message());
  }
  co_return outcome;
}

io::task<result<void>> mqtt_hub::tell(control::command c) {
  std::vector<control::command> one(1, std::move(c));
  auto outcome = co_await tell_all(std::move(one));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::revoke(std::vector<std::string> revoked, std::vector<std::string> restored) {
  std::vector<control::command> commands;
  for (auto& id : revoked) commands.emplace_back(control::revoke_certificate{std::move(id)});
  for (auto& id : restored) commands.emplace_back(control::restore_certificate{std::move(id)});
  auto outcome = co_await tell_all(std::move(commands));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::set_device(backend::device_credentials d) {
  CO_TRY(auto c, as_command(d));
  control::command command = std::move(c);
  auto outcome = co_await tell(std::move(command));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::remove_device(std::string id) {
  control::command command = control::remove_device{std::move(id)};
  auto outcome = co_await tell(std::move(command));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::kick(std::string id) {
  control::command command = control::kick_device{std::move(id)};
  auto outcome = co_await tell(std::move(command));
  co_return outcome;
}

io::task<result<void>> mqtt_hub::push(std::string id, wire::dialect d, wire::shared_attributes patch) {
  co_return send(id, wire::attributes_topic, wire::encode_attributes_patch(d, patch));
}

io::task<result<void>> mqtt_hub::send_command(std::string id, wire::dialect d, wire::command_request c) {
  CO_TRY(const auto payload, wire::encode(d, c));
  co_return send(id, wire::to_string(wire::topic(wire::rpc_request{c.reqid})), payload);
}

// Where it is not known to be it may yet be: brokers drop what is for a device that they do not have.
result<void> mqtt_hub::send(const std::string& device, std::string_view topic, std::string_view payload) {
  if (const auto* at = sessions_.present(device)) return brokers_[at->broker]->link.send(device, topic, payload);
  result<void> outcome = fail(errc::unavailable, "there is no session at a broker");
  for (auto& b : brokers_) {
    auto sent = b->link.send(device, topic, payload);
    if (sent || !outcome) outcome = std::move(sent);
  }
  return outcome;
}

void mqtt_hub::on_message(std::size_t from, mqtt::message m) {
  const std::string_view topic = m.topic;
  if (topic.starts_with(control::presence_prefix))
    return on_presence(from, std::string(topic.substr(control::presence_prefix.size())), m.payload);
  if (!topic.starts_with(control::upstream_prefix)) return;
  const auto rest = topic.substr(control::upstream_prefix.size());
  const auto slash = rest.find('/');
  if (slash == rest.npos) return;
  const auto relative = std::string(relative_prefix) + std::string(rest.substr(slash + 1));
  messages_.on_message(std::string(rest.substr(0, slash)), relative, std::move(m.payload), brokers_[from]->answers);
}

void mqtt_hub::on_presence(std::size_t from, const std::string& device, std::string_view payload) {
  const auto told = control::decode_presence(payload);
  if (!told) {
    spdlog::warn("{}: presence of {} that cannot be read: {}", brokers_[from]->link.name(), device,
                 told.error().message());
    return;
  }
  if (!told->online) {
    const bool gone = sessions_.ended(device, from, told->session);
    if (gone && backend_.devices.exists(device)) backend_.states.on_presence(device, false);
    return;
  }
  // Also of a device that this backend has yet to hear of: the broker knows it from another.
  sessions_.began(device, {from, told->session, std::chrono::steady_clock::now() - told->age});
  if (backend_.devices.exists(device)) backend_.states.on_presence(device, true);
  if (sessions_.has_elders()) doubled_.notify();
}

void mqtt_hub::on_lost(std::size_t broker) {
  for (const auto& device : sessions_.lost(broker))
    if (backend_.devices.exists(device)) backend_.states.on_presence(device, false);
}

// One backend decides for all: two might have heard of two sessions in different order, and each end what the other
// keeps. Who comes to lead finds here what is left to do.
io::task<void> mqtt_hub::end_elders() {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool over = false; !over && !doubled_.closed();) {
    const auto seen = doubled_.count();
    if (sessions_.has_elders() && backend_.leads()) co_await end_elders_now();
    co_await doubled_.wait(seen, sessions_.has_elders() ? look_again : idle);
    over = co_await io::is_cancelled();
  }
}

io::task<void> mqtt_hub::end_elders_now() {
  const auto elders = sessions_.elders(elders_at_once);
  std::vector<std::vector<control::command>> kicks(brokers_.size());
  for (const auto& e : elders) kicks[e.session.broker].emplace_back(control::kick_device{e.device, e.session.number});
  std::vector<std::shared_ptr<broker_link::change>> changes(brokers_.size());
  for (std::size_t i = 0; i < kicks.size(); ++i)
    if (!kicks[i].empty()) changes[i] = brokers_[i]->link.begin(std::move(kicks[i]));
  std::vector<bool> done(brokers_.size(), false);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (!changes[i]) continue;
    const auto told = co_await brokers_[i]->link.acknowledged(changes[i]);
    done[i] = told.has_value();
    if (!told) spdlog::warn("sessions of devices that are elsewhere now were not ended: {}", told.error().message());
  }
  // Its end is told too; but what the broker has acknowledged is so.
  for (const auto& e : elders) {
    if (!done[e.session.broker]) continue;
    ++elders_ended_;
    sessions_.ended(e.device, e.session.broker, e.session.number);
    spdlog::debug("device {}: its session at {} was ended, it has a later one", e.device,
                  brokers_[e.session.broker]->link.name());
  }
}

}  // namespace evp::api
