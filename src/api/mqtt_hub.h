// The backend's place at its brokers: receives what devices publish, reaches each device where it is, and keeps each
// device to one session.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/broker_link.h"
#include "api/device_messages.h"
#include "backend/device_sessions.h"
#include "backend/gateway.h"
#include "backend/signal.h"

namespace evp::api {

/// A broker that the backend connects to.
struct broker_address {
  std::string name;  ///< see broker_link
  mqtt::options options;
};

/// Confined to its executor. Start it after the backend has loaded its devices.
class mqtt_hub final : public backend::device_gateway {
 public:
  /// SHA-256 (32 bytes) of the token with which observers may hear of finished uploads.
  mqtt_hub(io::executor ex, backend::backend& b, metrics& m, std::vector<broker_address> brokers,
           std::string observer_token_sha256);
  ~mqtt_hub() override;
  void start();
  /// Ends what is under way, then the sessions.
  io::task<void> stop(milliseconds grace);
  /// Each broker, and whether the backend is connected to it and it knows all devices.
  std::vector<broker_state> brokers() const;
  /// Requests of devices that are being worked on.
  std::size_t requests_under_way() const { return messages_.under_way(); }
  /// Sessions that this backend has ended because their devices had come to another broker.
  std::uint64_t elder_sessions_ended() const noexcept { return elders_ended_; }

  /// Changes go to all brokers. Where one could not be told, the error names it, and it is told later; the others have
  /// the change.
  io::task<result<void>> set_device(backend::device_credentials d) override;
  io::task<result<void>> remove_device(std::string id) override;
  io::task<result<void>> kick(std::string id) override;
  io::task<result<void>> revoke(std::vector<std::string> revoked, std::vector<std::string> restored) override;
  io::task<result<void>> push(std::string id, wire::dialect d, wire::shared_attributes patch) override;
  io::task<result<void>> send_command(std::string id, wire::dialect d, wire::command_request c) override;

 private:
  struct broker {
    broker(io::executor ex, backend::backend& b, broker_address a)
        : link(ex, b, std::move(a.name), std::move(a.options)) {}
    broker_link link;
    to_device answers;  // how answers to what came from it go back
  };
  void on_message(std::size_t from, mqtt::message m);
  void on_presence(std::size_t from, const std::string& device, std::string_view payload);
  void on_lost(std::size_t broker);
  /// Ends elder sessions as they appear, while this backend is the one that does what one does for all.
  io::task<void> end_elders();
  io::task<void> end_elders_now();
  io::task<result<void>> tell(mqtt::control::command c);
  io::task<result<void>> tell_all(std::vector<mqtt::control::command> commands);
  result<void> send(const std::string& device, std::string_view topic, std::string_view payload);

  backend::backend& backend_;
  std::vector<std::unique_ptr<broker>> brokers_;
  device_messages messages_;
  io::group tasks_;
  backend::device_sessions sessions_;
  backend::signal doubled_;
  std::uint64_t elders_ended_ = 0;
};

}  // namespace evp::api
