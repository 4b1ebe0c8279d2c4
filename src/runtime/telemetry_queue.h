// Telemetry on its way to the broker: kept for a while when the broker is away, and never called sent when it was not.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <string>

#include "io/clock.h"
#include "io/task.h"

namespace evp::runtime {

struct telemetry_bounds {
  std::size_t max_bytes = 1 << 20;  ///< of all payloads that wait
  std::size_t max_messages = 1'000;
  milliseconds max_wait{600'000};  ///< then the sender is told that it was not sent
  milliseconds retry{500};         ///< while connected but the socket's queue is full
};

/// Confined to its executor. Each accepted message has exactly one callback, never from within push().
class telemetry_queue {
 public:
  using publisher = std::function<result<void>(const std::string& payload)>;
  telemetry_queue(io::executor ex, const io::clock& clock, telemetry_bounds bounds, publisher publish);

  /// Errors (no callback then): rate_limited (the queue is full).
  result<void> push(std::string payload, std::function<void(bool)> sent);
  /// Sends what waits; also called when the broker has come back.
  void flush();
  /// Tells every sender that its message was not sent.
  void close();

 private:
  struct entry {
    std::string payload;
    std::function<void(bool)> sent;
    steady_time expires;
  };
  void drop_expired();
  void end_front(bool sent);
  void schedule(bool retry);

  io::executor ex_;
  const io::clock& clock_;
  const telemetry_bounds bounds_;
  publisher publish_;
  std::deque<entry> waiting_;
  std::size_t bytes_ = 0;
  boost::asio::steady_timer timer_;
};

}  // namespace evp::runtime
