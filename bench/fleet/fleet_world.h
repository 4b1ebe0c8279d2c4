// What evp-fleet measures: the real evp-backend with its broker, and the echo in its place, each in a folder of its
// own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices.h"
#include "programs.h"
#include "rest.h"

namespace evp::bench {

/// The child that the process's first thread has started first; 0: none.
pid_t first_child(pid_t pid);

/// evp-backend on a folder; may be stopped and started again.
class backend_world {
 public:
  backend_world(io::fs::path folder, io::fs::path programs);
  /// Returns the seconds until it served. A service of the built-in store is made at the first start.
  double start();
  /// SIGTERM, and a wait for its end.
  void stop() { program_.reset(); }

  rest& api() { return *api_; }
  const std::string& token() const noexcept { return token_; }
  std::uint16_t rest_port() const noexcept { return rest_port_; }
  std::uint16_t mqtt_port() const noexcept { return mqtt_port_; }
  pid_t pid() const { return program_->pid(); }
  /// The broker's process.
  pid_t broker_pid() const { return first_child(pid()); }
  static constexpr const char* storage = "fleet";

  /// Registers devices over REST, in parallel.
  std::vector<identity> register_devices(loop& l, std::size_t count);
  /// While it is stopped: writes devices straight into its database, each with a report as agents send it at their
  /// start.
  void insert_devices(const std::vector<identity>& all);

 private:
  io::fs::path folder_, programs_;
  std::unique_ptr<program> program_;
  std::unique_ptr<rest> api_;
  std::string token_;
  std::uint16_t rest_port_ = 0, mqtt_port_ = 0;
};

/// evp-fleet-echo, which answers with so many bytes.
class echo_world {
 public:
  echo_world(const io::fs::path& folder, const io::fs::path& programs, const std::vector<identity>& devices,
             std::size_t answer_bytes);
  std::uint16_t mqtt_port() const noexcept { return mqtt_port_; }
  pid_t pid() const { return program_->pid(); }
  pid_t broker_pid() const { return first_child(pid()); }

 private:
  std::unique_ptr<program> program_;
  std::uint16_t mqtt_port_ = 0;
};

/// Identities with tokens of their own, numbered from `first` on.
std::vector<identity> make_identities(std::size_t first, std::size_t count);

}  // namespace evp::bench
