// What is counted, for Prometheus (text format 0.0.4) at /metrics.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backend/backend.h"

namespace evp::api {

/// Confined to its executor. Labels come from fixed sets only: no device id or name that a client chose.
class metrics {
 public:
  metrics();
  ~metrics();
  /// One answered HTTP request; the pattern is empty where no route matched.
  void on_request(std::string_view method, std::string_view pattern, int status, milliseconds took);
  /// A grant was answered after so many seconds.
  void on_grant(double seconds);
  /// A device's message that could not be used: "decode", "unknown_topic", "overload".
  void on_refused_message(std::string_view reason);

  /// The page. Reads the ledger's counts from the database. Errors: the database's.
  io::task<result<std::string>> text(backend::backend& b, bool broker_connected);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace evp::api
