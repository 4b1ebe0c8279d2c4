// Shadow writes: the backend copies what the old storage has verified to the new one, so that a change of provider can
// be judged before a device takes part in it.
#pragma once

#include <functional>

#include "backend/provider_changes.h"
#include "io/files.h"

namespace evp::backend {

/// What the copies may take of the backend and of its network.
struct shadow_limits {
  std::uint64_t max_bytes = 64ULL << 20;        ///< larger objects are skipped
  std::size_t parallel = 2;                     ///< copies at once
  std::uint64_t bytes_per_second = 8ULL << 20;  ///< of each of these
  milliseconds max_lag{600'000};     ///< what was verified longer ago is skipped: there is more than can be copied
  milliseconds copy_within{60'000};  ///< each of the two transfers
};

/// What the copies need; the references outlive them.
struct shadow_context {
  sql::database& db;
  services& known;
  ledger& uploads;
  provider_changes& changes;
  http::transport& transport;  ///< guarded
  const io::clock& clock;
  io::fs::path folder;  ///< a copy is on this disk meanwhile, in a file without a name
  std::function<bool()> leads;
  shadow_limits limits;
};

/// Follows the ledger as a stream of events does (ADR 0024), with a position for each change: nothing is copied twice
/// but after a crash, and then with the same bytes. Devices and their uploads notice nothing of it. Confined to its
/// executor.
class shadow_copies {
 public:
  explicit shadow_copies(io::executor ex, shadow_context context) : context_(std::move(context)), running_(ex) {}

  /// Copies what the next events tell of, for each change that wants it. The number of events that were looked at.
  /// Errors: the database's.
  io::task<result<std::size_t>> copy_some();
  /// Copies until cancelled, while leads() says so: one backend for all.
  io::task<void> run_forever();
  /// Ends what is under way; before destruction.
  io::task<void> stop() { return running_.stop(); }

 private:
  struct batch;
  io::task<result<std::size_t>> copy_some(provider_changes::shadowed change);
  io::task<void> work(std::shared_ptr<batch> b);
  io::task<result<void>> count(std::string change_id, sql::shadow_outcome how);
  /// Errors: those of the storages.
  io::task<result<void>> copy(std::shared_ptr<live_service> from, std::shared_ptr<live_service> to, upload u);
  io::task<result<std::uint64_t>> fetch(std::shared_ptr<live_service> from, std::string object, int fd);
  io::task<result<void>> store(std::shared_ptr<live_service> to, upload u, int fd, std::uint64_t size);

  shadow_context context_;
  io::group running_;
};

}  // namespace evp::backend
