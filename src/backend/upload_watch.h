// One reader that follows the changes of the ledger as they happen.
#pragma once

#include "backend/ledger.h"

namespace evp::backend {

/// How many may follow at once, over all: each costs a read of the database at every change, ten a second at most.
class upload_watches {
 public:
  static constexpr std::size_t max_watches = 32;

 private:
  friend class upload_watch;
  std::size_t open_ = 0;
};

/// Pulls changes from the database, never from memory: so it holds one read's worth however slow its user is, and goes
/// on from any number that a user comes back with. Confined to its executor; the ledger and the count outlive it.
class upload_watch {
 public:
  struct step {
    std::vector<upload_event> events;  ///< oldest first; none: nothing has happened for a while
    std::uint64_t position = 0;        ///< to come back with
  };
  static constexpr milliseconds gather_for{100};  ///< after a change, so that many come in one read

  /// `after`: a position that was reached earlier; without it only what happens from now on is told. `quiet`: the
  /// longest next() waits. Errors: rate_limited (max_watches), invalid_argument at "Last-Event-ID" (a number that was
  /// never given), the database's.
  static io::task<result<std::shared_ptr<upload_watch>>> open(ledger& l, upload_watches& all, upload_filter f,
                                                              std::optional<std::uint64_t> after, milliseconds quiet);
  ~upload_watch() { --all_.open_; }
  upload_watch(const upload_watch&) = delete;
  upload_watch& operator=(const upload_watch&) = delete;

  std::uint64_t position() const noexcept { return position_; }
  /// Retention has removed changes after the position that was asked for.
  bool has_gap() const noexcept { return has_gap_; }
  /// Nothing: the backend stops. Errors: the database's.
  io::task<result<std::optional<step>>> next();

 private:
  upload_watch(ledger& l, upload_watches& all, upload_filter f, milliseconds quiet)
      : ledger_(l), all_(all), filter_(std::move(f)), quiet_(quiet) {
    ++all_.open_;
  }
  ledger& ledger_;
  upload_watches& all_;
  upload_filter filter_;
  milliseconds quiet_;
  std::uint64_t position_ = 0;
  bool has_gap_ = false;
  bool caught_up_ = false;  ///< the last read found the end
};

}  // namespace evp::backend
