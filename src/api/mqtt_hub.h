// The backend's place at the broker: receives what devices publish, reaches each device, keeps the broker's list of
// devices current.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/device_messages.h"
#include "backend/gateway.h"
#include "mqtt/client.h"
#include "mqtt/control.h"

namespace evp::api {

/// Confined to its executor. Start it after the backend has loaded its devices.
class mqtt_hub final : public backend::device_gateway {
 public:
  static constexpr milliseconds control_timeout{2'000};  ///< for the broker's acknowledgement of a change
  static constexpr std::size_t max_waiting = 10'000;     ///< changes without an acknowledgement

  mqtt_hub(io::executor ex, backend::backend& b, metrics& m, mqtt::options options);
  ~mqtt_hub() override;
  void start();
  /// Ends what is under way, then the session.
  io::task<void> stop(milliseconds grace);
  /// Connected, and the broker knows all devices.
  bool ready() const noexcept { return ready_; }
  /// SHA-256 (32 bytes) of the token with which observers may hear of finished uploads. Before start(); empty: nobody.
  std::string observer_token_sha256;
  /// Called each time the broker has learnt all devices anew.
  std::function<void()> on_ready;

  io::task<result<void>> set_device(backend::device_credentials d) override;
  io::task<result<void>> remove_device(std::string id) override;
  io::task<result<void>> kick(std::string id) override;
  io::task<result<void>> push(std::string id, wire::dialect d, wire::shared_attributes patch) override;
  io::task<result<void>> send_command(std::string id, wire::dialect d, wire::command_request c) override;

 private:
  struct waiting;
  void on_message(mqtt::message m);
  void on_connected();
  void on_disconnected(const error& why);
  io::task<void> tell_all();
  // Finished uploads (mqtt_uploads.cc).
  io::task<void> tell_uploads();
  /// Publishes what is after the position, and moves it. True: there may be more. Errors: the database's, unavailable.
  io::task<result<bool>> tell_next_uploads(std::shared_ptr<std::optional<std::uint64_t>> position);
  io::task<result<void>> control(std::vector<mqtt::control::command> commands);
  result<void> send(const std::string& device, std::string_view topic, std::string_view payload);

  io::executor ex_;
  backend::backend& backend_;
  std::unique_ptr<mqtt::client> client_;
  device_messages messages_;
  io::group tasks_;
  std::map<std::uint64_t, std::shared_ptr<waiting>> waiting_;
  std::uint64_t next_batch_ = 1;
  std::uint64_t session_ = 0;
  bool ready_ = false;
};

}  // namespace evp::api
