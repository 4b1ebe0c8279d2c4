// The durable queue: a pure state machine around the engine. What it has accepted is in the journal first, and every
// accepted operation has exactly one outcome, across crashes and restarts.
//
//   offered ─► preparing ─► accepting ─► waiting ─► active (in the engine) ─► ending ─► ended ─► forgotten
//              (spool)      (being written)                             (being written)  (until it was heard)
//
// It knows no clock, disk or thread: events and the time go in, actions come out. What must be durable leaves as one
// `write` at a time and comes back as `written`; what comes meanwhile shares the next one.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>

#include "runtime/journal/record.h"
#include "runtime/upload/engine.h"
#include "runtime/upload/schedule.h"

namespace evp::runtime::upload {

enum class when_full { refuse, drop_oldest, drop_lowest_priority };

struct queue_limits {
  std::size_t files = 10'000;              ///< accepted and not ended
  std::uint64_t bytes = 64ULL << 30;       ///< of their files together
  std::uint64_t spool_bytes = 1ULL << 30;  ///< of blobs from memory, which lie on our disk
  when_full policy = when_full::refuse;    ///< what a file beyond these bounds means
  unsigned files_per_instance = 1'000;     ///< beyond: refused, whatever the policy
  milliseconds deadline{86'400'000};       ///< after it the outcome is ETIMEDOUT: also the bound on age
  unsigned active_per_storage = 24;        ///< in the engine at once: its memory is larger; beside grants for later
  std::size_t storages = 64;               ///< told apart; what comes beyond shares one place
  std::size_t kept_outcomes = 1'000;       ///< of an instance, until it acknowledges them; then the oldest is lost
  std::uint64_t rewrite_bytes = 1 << 20;   ///< a journal larger than this, and twice what lives, is written anew
  milliseconds ageing{600'000};            ///< waiting for so long is worth one step of priority
  schedule windows;                        ///< outside them only high priority begins
  bool metered = false;                    ///< only high priority begins
  milliseconds outage{10'000};             ///< a hub that was away for longer is asked again not at once ...
  milliseconds reconnect_jitter{3'000};    ///< ... but within this, by chance: others come back too
  milliseconds write_retry_first{1'000};   ///< after a failed write, doubling ...
  milliseconds write_retry_max{60'000};    ///< ... up to this; new operations are refused meanwhile
};

/// Who asked: one life of a module's process, and its own name for the operation. Life 0: nobody who still lives.
struct asker {
  std::uint32_t life = 0;
  std::uint64_t ticket = 0;
};

// ---- events, besides those of the engine ----
/// What an earlier run has left; once, before everything else.
struct recovered {
  std::vector<journal::record> records;
};
/// A module wants an operation. Id and times of `what` are given by the queue.
struct offered {
  upload::asker asker;
  journal::accepted what;
};
struct prepared {
  operation_id id;
  std::optional<error> failure;
  std::string sha256;  ///< of the spooled bytes, 32 bytes; or empty
};
struct written {
  std::optional<error> failure;
};
/// The process has read the outcome and says so. Of operations with `acknowledges`, by whatever life.
struct acknowledged {
  std::string instance;
  operation_id id;
};
/// The life wants to hear the outcomes of its instance's earlier lives, now and later.
struct wants_outcomes {
  std::uint32_t life;
  std::string instance;
};
struct life_ended {
  std::uint32_t life;
  std::string instance;
};
/// The instance has gone with its workspace: its kept outcomes are forgotten.
struct instance_removed {
  std::string instance;
};
using queue_event = std::variant<recovered, offered, prepared, written, acknowledged, wants_outcomes, life_ended,
                                 instance_removed, event>;

// ---- actions, besides those of the engine ----
/// Make the operation's bytes safe (spool them), then say `prepared`.
struct prepare {
  operation_id id;
  upload::asker asker;
};
/// The spooled bytes are not needed any more.
struct drop_spooled {
  operation_id id;
};
/// Put the records into the journal, then say `written`. `replace`: they are the whole content.
struct write {
  std::string records;
  bool sync = false;
  bool replace = false;
};
/// The answer to `offered`: the id, or why not.
struct answer {
  upload::asker asker;
  result<operation_id> accepted;
};
/// To the process that asked.
struct tell {
  upload::asker asker;
  operation_id id;
  blob_outcome outcome;
};
/// To a later life of the instance.
struct tell_earlier {
  std::uint32_t life;
  journal::accepted what;
  journal::ended outcome;
};
/// The instance has no operation left that needs its workspace.
struct drained {
  std::string instance;
};
/// For the log.
struct note_end {
  operation_id id;
  blob_outcome outcome;
  std::string instance, message;
};
using queue_action =
    std::variant<prepare, drop_spooled, write, answer, tell, tell_earlier, drained, note_end, request_grant, hash_file,
                 request_certificate, request_parts, start_transfer, send_report, set_timer>;
using queue_actions = std::vector<queue_action>;

struct times {
  steady_time steady;
  timestamp wall;
};

/// What has happened since the start.
struct queue_counters {
  std::uint64_t accepted = 0, succeeded = 0, failed = 0;
  std::uint64_t refused = 0;  ///< beyond a limit
  std::uint64_t dropped = 0;  ///< by the policy
  std::uint64_t failed_writes = 0;
  std::uint64_t lost_outcomes = 0;  ///< never acknowledged, beyond kept_outcomes
  std::uint64_t quarantined = 0;    ///< failed again and again while others of their storage did not
};

class queue {
 public:
  struct parts {
    queue_limits queue;
    upload::limits engine;
    retry_policy retry;
    std::uint64_t seed = 0;
    std::set<std::string> certificates;
    /// The module's own URL and headers out of `own`. Pure. A failure ends the operation with EINVAL.
    std::function<result<grant>(const journal::accepted&)> open_own;
    /// The URL and headers of a grant for later as text that the journal may hold, bound to the operation; and back.
    std::function<std::string(operation_id, const grant&)> seal_kept;
    std::function<result<grant>(operation_id, std::string_view sealed)> open_kept;
  };
  explicit queue(parts p);
  ~queue();

  queue_actions step(queue_event e, times now);

  /// The operation as it was accepted; it must not have been forgotten. Nothing for an unknown id.
  std::optional<journal::accepted> details(operation_id id) const;
  /// Accepted (or being so) and not ended.
  std::size_t live() const noexcept { return live_files_; }
  std::uint64_t live_bytes() const noexcept { return live_file_bytes_; }
  std::uint64_t spooled_bytes() const noexcept { return spooled_bytes_; }
  std::size_t transferring() const noexcept { return engine_.transferring(); }
  /// Outcomes that wait for an acknowledgement.
  std::size_t kept_outcomes() const noexcept { return ended_.size(); }
  const queue_counters& counters() const noexcept { return counters_; }
  std::vector<std::string> open_breakers() const { return engine_.open_breakers(); }
  /// Who will hear of the operation's end; life 0: nobody, or it has ended.
  asker asker_of(operation_id id) const;
  /// Bytes of the parts that the storage has, of an upload in parts; 0 of another.
  std::uint64_t sent_in_parts(operation_id id) const;
  struct storage_load {
    std::string storage;
    std::size_t waiting = 0, active = 0;
  };
  /// Of each storage that has operations.
  std::vector<storage_load> storages() const;
  /// A write is under way.
  bool writing() const noexcept { return writing_; }
  /// An operation of this instance still needs its workspace.
  bool holds(const std::string& instance) const;
  /// The operation has yet to read its bytes from the spool. A spooled file without one may go.
  bool needs_spooled(operation_id id) const;

 private:
  enum class state : std::uint8_t { preparing, accepting, waiting, active, ending, ended };
  struct instance_info {
    std::string name;
    std::size_t live = 0, entries = 0, kept = 0;
    std::uint32_t listener = 0;  ///< the life that wants outcomes
  };
  /// Small: there may be ten thousand.
  struct entry {
    std::unique_ptr<char[]> packed;  ///< the encoded journal::accepted
    std::uint64_t ticket = 0;
    std::int64_t deadline_ms = 0;  ///< steady
    instance_info* instance = nullptr;
    std::uint32_t life = 0;
    std::uint8_t lane = 0;
    queue::state at = queue::state::preparing;
    journal::priority priority = journal::priority::normal;
    bool acknowledges : 1 = false;
    bool spooled : 1 = false;
    bool told : 1 = false;  ///< to `life`, which has yet to acknowledge
  };
  using entry_map = std::unordered_map<operation_id, entry>;
  /// The operations of one storage that wait, oldest first; ids whose entry does not wait any more are skipped.
  struct lane {
    std::string storage;
    std::deque<operation_id> waiting[3];
    std::size_t live = 0, waiting_count = 0;
    unsigned active = 0;
    bool needs_hub = true;
  };
  struct begun_plan {
    journal::plan_begun what;
    std::vector<journal::part_sent> parts;
  };
  struct sent_file {
    journal::sent what;
    bool durable = false;
    std::optional<start_transfer> held = std::nullopt;  ///< begins when this is durable
  };
  /// What one write carries, besides bytes.
  struct batch {
    std::string records;
    bool sync = false;
    std::vector<operation_id> accepts, ends, sents, drops;
  };

  void on(recovered e);
  void on(offered e);
  void on(prepared e);
  void on(written e);
  void on(acknowledged e);
  void on(wants_outcomes e);
  void on(life_ended e);
  void on(instance_removed e);
  void on(event e);

  void drive_engine(event e);
  void keep_checksum(const file_hashed& e);
  void take(finish& a);
  void take(note_plan& a);
  void take(note_part& a);
  void take(note_sent& a);
  void take(start_transfer& a);
  void take(note_grant& a);
  void take(drop_grant& a);
  void take(set_timer& a) { engine_timer_ = a.at; }
  template <class T>
  void take(T& a) {
    out_.push_back(std::move(a));
  }

  std::optional<error> refusal(const offered& e);
  bool make_room(const journal::accepted& what);
  entry& add(const journal::accepted& what);
  void accepted_now(operation_id id);
  void give_up_accepting(operation_id id, const error& why);
  void enqueue(operation_id id, entry& e);
  void activate_what_fits();
  bool activate_one();
  void activate_kept();
  bool is_full(const lane& l) const;
  void keep(journal::grant_kept k);
  void let_kept_go(operation_id id);
  void let_begin(operation_id id);
  void recover_kept(journal::grant_kept k);
  std::optional<grant> take_kept(operation_id id);
  void activate(operation_id id);
  void leave_lane(const entry& x);
  bool is_waiting(operation_id id) const;
  void end(operation_id id, blob_outcome outcome, std::string message, bool quarantined = false);
  bool may_begin(journal::priority p) const;
  void run_connecting();
  void ended_now(operation_id id);
  void hear(operation_id id, entry& e);
  void forget(operation_id id);
  void forget_oldest(const instance_info& of);
  void erase(operation_id id);
  void subtract(operation_id id);
  void settle(operation_id id);
  void run_deadlines();
  const std::pair<std::int64_t, operation_id>* next_deadline();
  void flush();
  std::string everything() const;
  void write_failed(batch lost, const error& why);
  void want_timer();

  instance_info& instance_of(const std::string& name);
  std::uint8_t lane_of(const journal::accepted& what);
  void purge(lane& l);
  steady_time deadline_after_restart(const journal::accepted& r) const;
  milliseconds gone_since(std::int64_t then_ms) const;
  std::int64_t wall_ms() const { return now_.wall.time_since_epoch().count(); }
  void record(const journal::record& r, bool sync);
  static std::string_view packed(const entry& x);
  void repack(entry& x, const journal::accepted& what);

  const queue_limits limits_;
  const unsigned offline_grants_;
  const std::function<result<grant>(const journal::accepted&)> open_own_;
  const std::function<std::string(operation_id, const grant&)> seal_kept_;
  const std::function<result<grant>(operation_id, std::string_view)> open_kept_;
  engine engine_;

  entry_map entries_;
  std::unordered_map<operation_id, journal::ended> ended_;  ///< ending or ended
  std::unordered_map<operation_id, sent_file> sent_;
  std::map<operation_id, begun_plan> plans_;  ///< of uploads in parts that go on
  std::map<operation_id, journal::grant_kept> kept_;
  std::map<std::string, std::unique_ptr<instance_info>> instances_;
  std::vector<lane> lanes_;
  std::vector<std::pair<std::int64_t, operation_id>> deadlines_;  ///< a heap, the earliest first; may hold the dead
  std::size_t live_files_ = 0;
  std::uint64_t live_file_bytes_ = 0, spooled_bytes_ = 0;
  std::uint64_t packed_bytes_ = 0, kept_bytes_ = 0, journal_bytes_ = 0;
  operation_id next_id_ = 1;
  queue_counters counters_;

  batch pending_, in_flight_;
  bool writing_ = false;
  bool replace_ = true;  ///< the next write must hold everything
  unsigned failed_writes_ = 0;
  std::optional<steady_time> no_write_before_;
  bool connected_ = false;
  std::optional<steady_time> away_since_, connect_at_;
  std::mt19937_64 random_;

  times now_{};
  queue_actions out_;
  std::optional<steady_time> engine_timer_, timer_;
};

}  // namespace evp::runtime::upload
