// The device's conversation with its hub: an EVP2 device on the ThingsBoard-style topics (evp-wire.md B).
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>

#include "io/clock.h"
#include "io/pool.h"
#include "mqtt/client.h"
#include "runtime/instances.h"
#include "runtime/reports.h"
#include "runtime/telemetry_queue.h"
#include "runtime/twins.h"
#include "runtime/upload/uploader.h"

namespace evp::runtime {

struct hub_session_options {
  report_settings reports;
  milliseconds get_resend{5'000};        ///< of the attributes request, until it is answered
  std::size_t remembered_commands = 16;  ///< ids whose repetition is ignored, per connection
  telemetry_bounds telemetry;
};

/// What the session tells the upload engine.
struct hub_events {
  std::function<void()> connected, disconnected;
  std::function<void(std::string_view topic_id, result<wire::hub_response>)> answer;
};

/// Confined to its executor. `disk` runs what blocks for the disk. Everything borrowed must outlive stop(). Writes to
/// the disk only when what the hub wants has changed.
class hub_session final : public hub_port, public upload::hub_requests {
 public:
  hub_session(io::executor ex, const io::clock& clock, mqtt::options broker, hub_session_options options,
              twin_store& twins, io::pool& disk);

  /// Applies what was saved, so that modules run without the hub, and begins to connect.
  void start(instances& modules, hub_events events);
  /// Sends what is queued for at most `grace`, then disconnects.
  io::task<void> stop(milliseconds grace);

  result<void> send_telemetry(std::string payload, std::function<void(bool)> sent) override;
  void report_changed() override;
  void send(wire::device_request r) override;

  bool connected() const noexcept { return broker_.connected(); }

 private:
  void on_connected();
  void on_disconnected(const error& why);
  void on_message(mqtt::message m);
  void on_command(const std::string& topic_id, std::string_view payload);
  void answer_command(const std::string& topic_id, const wire::command_response& r);

  void ask_attributes();
  void on_attributes(std::string_view payload, bool is_response);
  void want_deployment(std::string manifest);
  void refuse_deployment(std::string_view manifest, const error& why);
  void save();
  io::task<void> write_down();

  void report(bool everything);
  void schedule_report();

  io::executor ex_;
  const io::clock& clock_;
  const hub_session_options options_;
  twin_store& twins_;
  io::pool& disk_;
  instances* modules_ = nullptr;
  hub_events events_;

  wire::shared_attributes wanted_;
  std::string saved_, to_save_;  ///< encoded
  bool saving_ = false;
  std::optional<refused_manifest> refused_;
  bool patched_while_asking_ = false;
  bool was_connected_ = false;

  report_settings settings_;
  bool changed_ = false;
  std::string sent_status_, sent_states_;
  steady_time last_report_{}, last_full_report_{};

  std::deque<std::string> commands_;  ///< the topic ids seen last
  boost::asio::steady_timer get_timer_, report_timer_;
  telemetry_queue telemetry_;
  io::group writes_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< answers to commands may come after the end
  mqtt::client broker_;
};

}  // namespace evp::runtime
