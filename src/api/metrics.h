// What is counted, for Prometheus (text format 0.0.4) at /metrics.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "http/connections.h"

namespace evp::api {

/// What the cache of the storages' credentials did.
struct credential_counts {
  std::uint64_t hits = 0, refreshes = 0, failures = 0;
};

/// One of the brokers that the backend connects to.
struct broker_state {
  std::string name;  ///< "host:port"; empty: the one of the program's own
  bool ready = false;
};

/// One of the lists of revoked certificates that the operator has named.
struct revocation_list_state {
  std::size_t number = 0;  ///< in the order in which they were named
  bool good = false;       ///< what the file had when it was read last could be used, and it is not out of date
  std::size_t entries = 0;
};

/// What is known elsewhere, for one page.
struct present_state {
  std::vector<revocation_list_state> revocation_lists;
  std::vector<broker_state> brokers;
  std::uint64_t elder_sessions_ended = 0;
  std::size_t requests_under_way = 0;  ///< of devices
  credential_counts credentials;
  http::connection_counts connections;
};

/// Confined to its executor. Every metric is described in docs/metrics.md. Labels come from fixed sets only: no device
/// id or name that a client chose.
class metrics {
 public:
  metrics();
  ~metrics();
  /// One answered HTTP request; the pattern is empty where no route matched.
  void on_request(std::string_view method, std::string_view pattern, int status, milliseconds took);
  /// A request for a grant was answered.
  void on_grant(const backend::grants::answered& a);
  /// A report was answered.
  void on_report(const backend::grants::answered& a);
  /// A device's message that could not be used: "decode", "unknown_topic", "overload".
  void on_refused_message(std::string_view reason);

  /// The page. Reads the counts of ledger, hooks and audit from the database. Errors: the database's.
  io::task<result<std::string>> text(backend::backend& b, present_state now);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace evp::api
