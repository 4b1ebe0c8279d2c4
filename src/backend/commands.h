// Direct commands: a question to a module instance on a device, with a time limit of our own.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "backend/devices.h"
#include "backend/gateway.h"
#include "backend/states.h"
#include "wire/messages.h"

namespace evp::backend {

struct command {
  std::string device, instance, method;
  std::string params;               ///< JSON text; empty: {}
  milliseconds time_limit{10'000};  ///< 100 ms to max_time_limit; agents do not answer unknown instances, for one
};

/// Confined to its executor.
class commands {
 public:
  static constexpr milliseconds default_time_limit{10'000};
  static constexpr milliseconds max_time_limit{60'000};
  static constexpr std::size_t max_pending_per_device = 16;  ///< the public agent's ring of known ids
  static constexpr std::size_t max_pending = 10'000;
  static constexpr std::size_t max_params_bytes = 64 * 1024;

  commands(io::executor ex, sql::database& db, const io::clock& clock, devices& d, states& s);
  ~commands();
  void set_gateway(device_gateway* gateway) { gateway_ = gateway; }

  /// Sends and waits for the answer. An answer that says error or method_not_found is an answer, not an error.
  /// The audit has its record before the device has the question: what comes of it is another record only where it
  /// fails. Errors: not_found (device), invalid_argument at a field, too_large at "params", failed_precondition
  /// (blocked), unavailable (offline), rate_limited (max_pending_per_device), deadline_exceeded.
  io::task<result<wire::command_response>> call(command c, origin by = origin());
  /// An answer came in from that device. False when nobody waits for it.
  bool answer(const std::string& device, wire::command_response r);
  /// Answers still outstanding.
  std::size_t pending() const noexcept;

 private:
  struct waiting;
  io::executor ex_;
  sql::database& db_;
  const io::clock& clock_;
  devices& devices_;
  states& states_;
  device_gateway* gateway_ = nullptr;
  std::uint64_t next_id_ = 1;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<waiting>> waiting_;
};

}  // namespace evp::backend
