// The ledger: one row for each grant, written before the grant leaves, and what became of it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/audit.h"
#include "backend/grant_terms.h"
#include "backend/page.h"
#include "backend/signal.h"
#include "backend/verification.h"
#include "base/time.h"
#include "io/clock.h"
#include "sql/database.h"
#include "sql/events_store.h"

namespace evp::backend {

/// issued -> uploaded (the device says so, not checked yet) -> verified | failed; issued -> verified | failed |
/// expired.
enum class upload_state { issued, uploaded, verified, failed, expired };
std::string_view to_string(upload_state s) noexcept;
/// Errors: invalid_argument at "state", naming the states.
result<upload_state> upload_state_from_string(std::string_view text);
/// verified or failed: nothing moves it any more.
bool is_final(upload_state s) noexcept;
/// Nothing more is expected of the upload, although a late report may still turn expired into another state. With
/// verification::none, uploaded is all that it becomes.
bool is_finished(upload_state s, verification verify) noexcept;

struct upload {
  std::string grant_id;
  std::string device, instance, request_id;
  std::string service_id, service_name;
  std::int64_t service_revision = 0;
  std::string object;
  bool is_get = false;
  upload_state state = upload_state::issued;
  std::string reason;
  bool can_report = false;
  std::optional<std::uint64_t> size_declared, size_bytes;
  std::string sha256;  ///< 64 hexadecimal digits, or empty: with put_checksum what was declared, else what was reported
  timestamp issued_at, expires_at, updated_at;
  verification verify = verification::head;
  std::string parts_id;          ///< the storage's id of an upload in parts; empty: in one piece
  std::uint64_t part_bytes = 0;  ///< of each part but the last
  bool offline = false;          ///< its grant is one that the device keeps for later
  std::string asked_service;     ///< which the device asked for, where a change of provider led to another
  std::string change_id;         ///< the change of provider that counts it; empty: none
  sql::service_asked_for asked;  ///< of a new grant only
  // By the policy of when it was granted:
  std::optional<std::uint64_t> max_size;
  std::uint64_t quota_bytes = 0;  ///< counted to the device's day; 0: not counted
  std::string content_type;       ///< that the object is to have; empty: any
};

/// What a device holds that is good still, used or not: a signature cannot be taken back.
struct live_grants {
  std::uint64_t count = 0, offline = 0;
  std::optional<timestamp> last_expires_at;  ///< nothing after this time; of an upload in parts an upper bound
};

struct upload_filter {
  std::string tenant;        ///< empty: the installation's own
  bool all_tenants = false;  ///< for the program itself
  std::optional<std::string> device, service;
  std::optional<upload_state> state;
  std::optional<timestamp> since;  ///< issued at or after
};

struct upload_outcome {
  std::string grant_id;
  upload_state state;
  std::string reason;
  std::optional<std::uint64_t> size_bytes;
  std::string sha256;
  bool by_device = false;  ///< it reported success: an upload that was issued became "uploaded" on the way
};

/// One change of an upload's state. The numbers of later changes are higher; they have gaps only where retention has
/// removed rows.
struct upload_event {
  std::uint64_t sequence = 0;
  upload what;  ///< state, reason and updated_at as the change made them, the rest as it is now
};

upload_event event_of(sql::upload_event_row row);

struct upload_events {
  std::vector<upload_event> events;  ///< oldest first
  std::uint64_t position = 0;        ///< read on after this one
  bool more = false;                 ///< there may be some already
};

/// Confined to its executor.
class ledger {
 public:
  static constexpr milliseconds unreachable_after{2'000};          ///< two looks at the database have failed
  static constexpr std::size_t max_events = 100;                   ///< that one read looks at
  static constexpr std::int64_t max_pending_deliveries = 100'000;  ///< of one hook: a day of one a second
  static constexpr std::size_t max_forgotten = 200;  ///< at once: the database does nothing else meanwhile

  /// `outbox` is notified when a finished upload has left a delivery to some hook.
  ledger(sql::database& db, const io::clock& clock, signal& outbox) : db_(db), clock_(clock), outbox_(outbox) {}

  /// A new grant id: it sorts by time, and 80 of its bits are random.
  std::string new_id() const;

  /// Errors: unavailable with retry_after, where the database has not answered for unreachable_after: what would be
  /// asked of it had better be refused at once. Never of a database that is this program's own.
  result<void> check_reachable() const;

  /// Returns once the row is durable, and with it the audit's record of the grant. False, and nothing written: its
  /// service is not, or no more, in the database at that revision, or the policies or the device's group are others
  /// than `terms` say. That is asked in the same transaction, so that whatever was committed before it counts; so is
  /// whether the device may ask, and has not used up what `terms` give it. Errors: permission_denied (removed or
  /// blocked), rate_limited (it has), the database's.
  io::task<result<bool>> issue(upload u, grant_terms terms = {});
  /// Moves the row on, unless it is in a final state. A change of state is numbered, and where it ends the upload of a
  /// file it is put into the outbox for the hooks, all in one transaction. True when it moved. Errors: the database's.
  io::task<result<bool>> settle(upload_outcome o);
  /// Gives an open upload in parts more time, where a new grant would be given too, and records that in the audit.
  /// Errors: not_found (it is open no more, or its service has changed, or `terms` hold no more), permission_denied,
  /// the database's.
  io::task<result<void>> prolong(upload u, timestamp expires_at, grant_terms terms = {});
  /// Newest first. Errors: invalid_argument at "limit" or "cursor", the database's.
  io::task<result<page<upload>>> list(upload_filter f, page_request r);
  /// Errors: not_found, the database's.
  io::task<result<upload>> get(std::string grant_id);
  /// The device's grants that are not dead yet. Errors: the database's.
  io::task<result<live_grants>> live(std::string device);
  /// No other grant of the service was for the same object. Looks through all rows: for rare questions.
  io::task<result<bool>> is_only_one(upload u);
  /// Not final and expired before that time, oldest first.
  io::task<result<std::vector<upload>>> overdue(timestamp before, std::size_t limit);

  /// The changes after that number that pass the filter, of the next max_events. Errors: the database's.
  io::task<result<upload_events>> events(upload_filter f, std::uint64_t after);
  /// Where the sequence of changes stands. Errors: the database's.
  io::task<result<sql::event_sequence>> sequence();
  /// How far a reader of the program's own has come; one that was never seen begins now. Errors: the database's.
  io::task<result<std::uint64_t>> reader(std::string name);
  io::task<result<void>> move_reader(std::string name, std::uint64_t position);
  /// Forgets up to max_forgotten uploads that ended before that time, with their changes: never one whose grant still
  /// lives, nor one of which a hook is still to be told. Returns the number. Errors: the database's.
  io::task<result<std::size_t>> forget(timestamp before);
  /// Counts up after the commit of each change.
  signal& changed() noexcept { return changed_; }

  /// Rows by state, indexed by upload_state. Reads the database: for metrics, not for the hot path.
  io::task<result<std::array<std::uint64_t, 5>>> count();

 private:
  sql::database& db_;
  const io::clock& clock_;
  signal& outbox_;
  signal changed_;
};

}  // namespace evp::backend
