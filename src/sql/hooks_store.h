// Tables hooks and hook_deliveries: who is told of finished uploads, and what is still to be told (the outbox).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct hook_row {
  std::string name;
  std::string url;
  std::string sealed_secret;
  std::string certificate;  ///< PEM, or empty
  std::string services;     ///< names, each followed by a line feed; empty: all
  std::string states;       ///< likewise
  std::int64_t created_at = 0, updated_at = 0;
  // What became of its deliveries. An update of the row leaves them.
  std::int64_t pending = 0, delivered = 0, given_up = 0;
  std::int64_t delivered_at = 0;  ///< the last one; 0: none
  std::string last_error;         ///< of the last attempt that failed; empty: none
  std::int64_t last_error_at = 0;
  std::string given_up_reason;  ///< of the last delivery that was given up; empty: none
  std::int64_t given_up_at = 0;
};

/// A delivery that has not been made yet.
struct delivery_row {
  std::string hook;
  std::int64_t sequence = 0;    ///< of the change that it tells
  std::int64_t attempts = 0;    ///< that failed
  std::int64_t next_at = 0;     ///< Unix time, ms
  std::int64_t created_at = 0;  ///< when the change was made
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<hook_row>> list_hooks(connection& c);
result<std::optional<hook_row>> find_hook(connection& c, const std::string& name);
/// Inserts or replaces all but created_at and the numbers of deliveries. True when it is new.
result<bool> put_hook(connection& c, const hook_row& h);
/// With its deliveries. False when there was none.
result<bool> remove_hook(connection& c, const std::string& name);

/// Puts into the outbox a delivery of the change to each hook whose filter lets it through, by the service or by the
/// one that was `asked` for in its place (or empty); in the transaction of the change. A hook that has max_pending
/// waiting gives this one up, with a reason. Returns the number put.
result<std::int64_t> insert_deliveries(connection& c, std::int64_t sequence, const std::string& service,
                                       const std::string& asked, const std::string& state, std::int64_t now,
                                       std::int64_t max_pending);
/// Of that hook, the soonest first.
result<std::vector<delivery_row>> list_deliveries(connection& c, const std::string& hook, std::int64_t limit);
/// It has arrived.
result<void> finish_delivery(connection& c, const delivery_row& d, std::int64_t now);
/// It has failed, and is tried again at d.next_at.
result<void> postpone_delivery(connection& c, const delivery_row& d, const std::string& why, std::int64_t now);
/// It has failed for the last time.
result<void> give_up_delivery(connection& c, const delivery_row& d, const std::string& why, std::int64_t now);

}  // namespace evp::sql
