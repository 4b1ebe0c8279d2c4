// This backend among others on the same database: what they change, and which of them does what one does for all.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backend/signal.h"
#include "io/clock.h"
#include "sql/changes_store.h"
#include "sql/leases_store.h"

namespace evp::backend {

struct replica_context {
  sql::database& db;
  const io::clock& clock;
  std::function<void()> on_uploads_changed;  ///< others have written to the ledger
  std::function<void()> on_leading;          ///< leads() has become true
};

/// Looks at the database each second, and at once when another program announces a change (ADR 0029). Where the
/// database is this program's own it does nothing, and leads. Confined to its executor.
class replica {
 public:
  static constexpr milliseconds look_every{1'000};
  static constexpr milliseconds leads_for{3'000};   ///< after a renewal of its lease has begun
  static constexpr milliseconds dead_after{5'000};  ///< without a renewal: another takes the lease over

  explicit replica(replica_context context);
  ~replica();
  /// `apply` takes over what others have changed, `reload` everything. Where they fail they are called again, with the
  /// same and more. Before run_forever().
  void set_take_over(std::function<io::task<result<void>>(std::vector<sql::change_row>)> apply,
                     std::function<io::task<result<void>>()> reload) {
    apply_ = std::move(apply);
    reload_ = std::move(reload);
  }
  /// Notes where the changes stand; before anything is read into memory. Errors: the database's.
  io::task<result<void>> begin();
  /// Looks until cancelled.
  io::task<void> run_forever();
  /// Gives the lease to who wants it.
  io::task<void> stop();
  /// Whether this one does what one does for all: sweeping, deliveries, retention, what devices report. For moments
  /// nobody does, and after a fault two may: all that work can be done twice.
  bool leads() const;

 private:
  struct seen;
  io::task<result<void>> look();
  io::task<result<void>> take_over(std::vector<sql::change_row> changes, bool everything);

  replica_context context_;
  std::function<io::task<result<void>>(std::vector<sql::change_row>)> apply_;
  std::function<io::task<result<void>>()> reload_;
  std::string id_;
  signal announced_;
  std::int64_t position_ = 0;
  std::int64_t newest_event_ = 0;
  std::uint64_t connections_ = 0;
  sql::lease_row lease_;                      ///< as it was seen last
  std::optional<steady_time> lease_seen_at_;  ///< when it was first seen so
  std::optional<steady_time> leads_since_;    ///< when the last renewal was begun
};

}  // namespace evp::backend
