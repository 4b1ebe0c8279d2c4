// The device's conversation with its hub.
#include "runtime/hub_session.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "runtime/log_text.h"

namespace evp::runtime {

namespace {
constexpr std::string_view get_id = "10000";  // as the public agent's; a hub may rely on it
constexpr std::size_t max_telemetry_bytes = wire::max_message_bytes - 1024;

mqtt::callbacks callbacks_of(std::function<void()> on, std::function<void(const error&)> off,
                             std::function<void(mqtt::message)> message) {
  return {std::move(on), std::move(off), std::move(message)};
}
}  // namespace

hub_session::hub_session(io::executor ex, const io::clock& clock, mqtt::options broker, hub_session_options options,
                         twin_store& twins, io::pool& disk)
    : ex_(ex),
      clock_(clock),
      options_(options),
      twins_(twins),
      disk_(disk),
      settings_(options.reports),
      get_timer_(ex),
      report_timer_(ex),
      telemetry_(ex, clock, options.telemetry,
                 [this](const std::string& payload) { return broker_.publish(wire::telemetry_topic, payload, 0); }),
      writes_(ex),
      broker_(ex, std::move(broker),
              callbacks_of([this] { on_connected(); }, [this](const error& why) { on_disconnected(why); },
                           [this](mqtt::message m) { on_message(std::move(m)); })) {}

void hub_session::start(instances& modules, hub_events events) {
  modules_ = &modules;
  events_ = std::move(events);
  if (auto saved = twins_.open()) {
    wanted_ = std::move(*saved);
    saved_ = wire::encode_attributes_response(wire::dialect::evp2, wanted_);
    if (!wanted_.configuration.empty()) modules_->configure(wanted_.configuration);
    if (wanted_.deployment)
      if (auto deployment = wire::decode_deployment(*wanted_.deployment)) modules_->apply(std::move(*deployment));
  } else {
    spdlog::error("starting without the saved deployment: {}", log_text(saved.error().message()));
  }
  broker_.subscribe("v1/devices/me/attributes", 0);
  broker_.subscribe("v1/devices/me/attributes/response/+", 0);
  broker_.subscribe("v1/devices/me/rpc/request/+", 0);
  broker_.subscribe("v1/devices/me/rpc/response/+", 0);
  broker_.start();
}

io::task<void> hub_session::stop(milliseconds grace) {
  alive_.reset();
  get_timer_.cancel();
  report_timer_.cancel();
  if (changed_ && broker_.connected()) report(false);
  telemetry_.close();
  co_await broker_.stop(grace);
  co_await writes_.stop();
  if (to_save_ != saved_ && !to_save_.empty()) {
    auto work = [this] { return twins_.save(to_save_); };
    const auto kept = co_await io::run_on(disk_, std::move(work));
    if (!kept) spdlog::error("can't save the deployment: {}", kept.error().message());
  }
}

// ---- connection ----

void hub_session::on_connected() {
  spdlog::info("connected to the hub");
  was_connected_ = true;
  commands_.clear();
  report(true);
  ask_attributes();
  telemetry_.flush();
  events_.connected();
}

void hub_session::on_disconnected(const error& why) {
  if (was_connected_) spdlog::warn("the hub is away: {}", log_text(why.message()));
  was_connected_ = false;
  get_timer_.cancel();
  report_timer_.cancel();
  events_.disconnected();
}

void hub_session::on_message(mqtt::message m) {
  const auto topic = wire::parse_topic(m.topic);
  if (!topic) return;
  if (std::holds_alternative<wire::attributes>(*topic)) return on_attributes(m.payload, false);
  if (std::get_if<wire::attributes_response>(&*topic)) return on_attributes(m.payload, true);
  if (const auto* request = std::get_if<wire::rpc_request>(&*topic)) return on_command(request->id, m.payload);
  if (const auto* response = std::get_if<wire::rpc_response>(&*topic))
    events_.answer(response->id, wire::decode_hub_response(response->id, m.payload));
}

void hub_session::send(wire::device_request r) {
  const auto topic = wire::to_string(wire::rpc_request{wire::reqid_of(r)});
  const auto sent = broker_.publish(topic, wire::encode(r), 0);
  // The engine sends it again, so this is no more than a note.
  if (!sent) spdlog::debug("request not sent: {}", sent.error().message());
}

// ---- what the hub wants ----

void hub_session::ask_attributes() {
  patched_while_asking_ = false;
  const auto sent = broker_.publish(wire::to_string(wire::attributes_request{std::string(get_id)}), "{}", 0);
  if (!sent) spdlog::debug("attributes request not sent: {}", sent.error().message());
  get_timer_.expires_after(options_.get_resend);
  get_timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped && broker_.connected()) ask_attributes();
  });
}

void hub_session::on_attributes(std::string_view payload, bool is_response) {
  if (is_response) {
    get_timer_.cancel();
    // The hub may have made this answer before a change whose patch came first: ask once more.
    if (patched_while_asking_) ask_attributes();
  }
  auto settings = read_report_settings(payload, is_response, settings_);
  if (settings && *settings) {
    settings_ = std::move(**settings);
    report_changed();
  } else if (!settings) {
    spdlog::warn("the hub's device configuration is ignored: {}", log_text(settings.error().message()));
  }
  auto shared = wire::decode_shared_attributes(payload, is_response);
  if (!shared) return refuse_deployment(payload, shared.error());

  if (!is_response && (shared->deployment || !shared->configuration.empty() || !shared->deleted_configuration.empty()))
    patched_while_asking_ = true;

  auto configuration = wanted_.configuration;
  // An empty answer means that the hub knows nothing of this device (yet), not that everything is to go.
  const bool is_whole = is_response && (shared->deployment || !shared->configuration.empty());
  if (is_whole) configuration.clear();
  for (auto& [key, value] : shared->configuration) configuration[key] = std::move(value);
  for (const auto& key : shared->deleted_configuration) configuration.erase(key);
  if (configuration != wanted_.configuration) {
    std::swap(configuration, wanted_.configuration);
    if (wire::encode_attributes_response(wire::dialect::evp2, wanted_).size() > wire::max_shared_bytes) {
      std::swap(configuration, wanted_.configuration);
      spdlog::error("configuration and deployment together are beyond {} bytes: the change is ignored",
                    wire::max_shared_bytes);
    } else {
      modules_->configure(wanted_.configuration);
    }
  }
  if (shared->deployment) want_deployment(std::move(*shared->deployment));
  save();
}

void hub_session::want_deployment(std::string manifest) {
  auto deployment = wire::decode_deployment(manifest);
  if (!deployment) return refuse_deployment(manifest, deployment.error());
  if (std::exchange(refused_, std::nullopt)) report_changed();
  if (wanted_.deployment == manifest) return;
  wanted_.deployment = std::move(manifest);
  spdlog::info("deployment {}", log_text(deployment->id));
  modules_->apply(std::move(*deployment));
  report_changed();
}

void hub_session::refuse_deployment(std::string_view manifest, const error& why) {
  const std::string where = why.field().empty() ? std::string() : why.field() + ": ";
  refused_ = refused_manifest{deployment_id_of(manifest), log_text(where + why.message())};
  spdlog::error("the hub's deployment is refused: {}", refused_->why);
  report_changed();
}

void hub_session::save() {
  to_save_ = wire::encode_attributes_response(wire::dialect::evp2, wanted_);
  if (saving_ || to_save_ == saved_) return;
  saving_ = true;
  writes_.spawn(write_down());
}

io::task<void> hub_session::write_down() {
  while (to_save_ != saved_) {
    const std::string text = to_save_;
    auto work = [this, &text] { return twins_.save(text); };
    const auto kept = co_await io::run_on(disk_, std::move(work));
    if (!kept) {
      spdlog::error("can't save the deployment: {}", kept.error().message());
      break;  // tried again with the next change and at the end
    }
    saved_ = text;
  }
  saving_ = false;
}

// ---- reports ----

void hub_session::report_changed() {
  changed_ = true;
  schedule_report();
}

void hub_session::schedule_report() {
  if (!broker_.connected()) return;  // a connection begins with a report
  const auto due = changed_ ? last_report_ + settings_.interval_min : last_full_report_ + settings_.interval_max;
  report_timer_.expires_after(std::max<std::chrono::nanoseconds>(std::chrono::nanoseconds(0), due - clock_.steady()));
  report_timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped && broker_.connected()) report(clock_.steady() - last_full_report_ >= settings_.interval_max);
  });
}

void hub_session::report(bool everything) {
  const auto status = encode_status_report(modules_->status(), settings_, refused_);
  const auto states = encode_states(modules_->states());
  last_report_ = clock_.steady();
  if (everything) last_full_report_ = last_report_;
  changed_ = false;
  if (everything || status != sent_status_) {
    if (broker_.publish(wire::attributes_topic, status, 1)) {
      sent_status_ = status;
    } else {
      changed_ = true;
    }
  }
  if (everything || states != sent_states_) {
    if (broker_.publish(wire::attributes_topic, states, 0)) {
      sent_states_ = states;
    } else {
      changed_ = true;
    }
  }
  if (states == sent_states_) modules_->states_sent();
  schedule_report();
}

result<void> hub_session::send_telemetry(std::string payload, std::function<void(bool)> sent) {
  if (payload.size() > max_telemetry_bytes)
    return fail(errc::too_large, "telemetry of one call may be " + std::to_string(max_telemetry_bytes) + " bytes");
  return telemetry_.push(std::move(payload), std::move(sent));
}

// ---- direct commands ----

void hub_session::on_command(const std::string& topic_id, std::string_view payload) {
  const auto command = wire::decode_command_request(topic_id, payload);
  if (!command) {  // on a plain broker these are also our own requests, come back
    spdlog::debug("no direct command: {}", log_text(command.error().message()));
    return;
  }
  if (std::find(commands_.begin(), commands_.end(), topic_id) != commands_.end()) return;
  commands_.push_back(topic_id);
  if (commands_.size() > options_.remembered_commands) commands_.pop_front();

  wire::command_response answer;
  answer.reqid = command->reqid;
  if (command->instance.starts_with('$') || command->method.starts_with("$agent/")) {
    answer.status = wire::command_status::method_not_found;
    answer.response = R"({"error":"Method not found"})";
    return answer_command(topic_id, answer);
  }
  std::weak_ptr<int> alive = alive_;
  auto accepted = modules_->command(*command, [this, alive, topic_id](wire::command_response r) {
    if (alive.lock()) answer_command(topic_id, r);
  });
  if (accepted) return;
  answer.status = wire::command_status::error;
  answer.error_message = accepted.error().message();
  answer.response = accepted.error().code() == errc::not_found ? R"({"error":"Instance not found"})"
                                                               : R"({"error":"Instance is busy"})";
  answer_command(topic_id, answer);
}

void hub_session::answer_command(const std::string& topic_id, const wire::command_response& r) {
  const auto sent = broker_.publish(wire::to_string(wire::rpc_response{topic_id}), wire::encode(r), 0);
  if (!sent) spdlog::warn("the answer to command {} was not sent: {}", topic_id, sent.error().message());
}

}  // namespace evp::runtime
