// The backend's session at one broker: keeps the broker's list of devices current, and tells it of finished uploads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "mqtt/client.h"
#include "mqtt/control.h"

namespace evp::api {

/// What the broker must know of a device. Errors: invalid_argument (the digest in the database is damaged).
result<mqtt::control::command> as_command(const backend::device_credentials& d);

/// Confined to its executor. Start it after the backend has loaded its devices.
class broker_link {
 public:
  class change;                                          ///< one on its way to the broker
  static constexpr milliseconds control_timeout{2'000};  ///< for the broker's acknowledgement of a change
  static constexpr std::size_t max_waiting = 10'000;     ///< changes without an acknowledgement

  /// The name, "host:port", is for logs, metrics and the position in the events of uploads: it stays the same over
  /// restarts. Empty: the one broker of this program's own.
  broker_link(io::executor ex, backend::backend& b, std::string name, mqtt::options options);
  ~broker_link();
  void start();
  /// Hears of no further requests. Once this is settled, all that the broker had on its way has come.
  std::shared_ptr<change> stop_listening();
  /// Ends what is under way, then the session.
  io::task<void> stop(milliseconds grace);
  const std::string& name() const noexcept { return name_; }
  /// Connected, and the broker knows all devices.
  bool ready() const noexcept { return ready_; }

  /// Before start().
  std::string observer_token_sha256;              ///< 32 bytes: of those who may hear of finished uploads
  std::function<void(mqtt::message)> on_message;  ///< all that comes but acknowledgements
  std::function<void()> on_lost;                  ///< the session has ended; what it told holds no more

  /// Sends it; settle() tells what became of it.
  std::shared_ptr<change> begin(std::vector<mqtt::control::command> commands);
  /// Returns when the broker has applied it. When it could not be told, it is told all devices again, as soon as it
  /// can be. Errors: unavailable, within control_timeout of begin().
  io::task<result<void>> settle(std::shared_ptr<change> c);
  /// The same without telling anything again. Errors: as settle().
  io::task<result<void>> acknowledged(std::shared_ptr<change> c);
  /// To one device; lost when it is not connected to this broker. Errors: mqtt::client::publish's.
  result<void> send(const std::string& device, std::string_view topic, std::string_view payload);

 private:
  void on_connected();
  void on_disconnected(const error& why);
  void receive(mqtt::message m);
  void repeat_all();
  io::task<void> tell_all();
  io::task<result<void>> tell_devices(std::uint64_t session);
  // Finished uploads (broker_uploads.cc).
  io::task<void> tell_uploads();
  /// Publishes what is after the position, and moves it. True: there may be more. Errors: the database's, unavailable.
  io::task<result<bool>> tell_next_uploads(std::shared_ptr<std::optional<std::uint64_t>> position);

  struct waiting;
  io::executor ex_;
  backend::backend& backend_;
  std::string name_, called_;  // the latter in logs and errors
  std::unique_ptr<mqtt::client> client_;
  io::group tasks_;
  std::map<std::uint64_t, std::shared_ptr<waiting>> waiting_;
  std::uint64_t next_batch_ = 1;
  std::uint64_t session_ = 0;
  bool connected_ = false, ready_ = false;
  bool repeat_ = false, telling_ = false;
};

}  // namespace evp::api
