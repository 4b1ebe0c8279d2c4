// The upload engine: a pure state machine that leads every accepted operation to exactly one outcome.
//
// It knows no clock, socket, file or thread: events and the time go in, actions come out. The uploader drives it in
// production, tests drive it with invented worlds; what waits for its turn and what must survive a crash is the queue's
// (queue.h). An operation goes through these stages:
//
//   waiting ──request_grant──► asking ──► [certificate] ──► ready ──start_transfer──► transferring ──► [reporting] ──►
//   end
//      ▲                          │                                                       │
//      └────────── backing_off ◄──┴───────────────────────────────────────────────────────┘
//
// A grant with a plan goes from `ready` to `in_parts`: several transfers at once, and pages of parts asked of the hub,
// until all parts are there; then it is reported (engine_parts.cc).
//
// A storage may want the file's SHA-256 before it grants: the operation is `hashing`, then it asks again; later files
// of that storage are hashed before they ask (engine_checksum.cc).
//
// Where a storage gives grants for later, operations that wait beyond those that have been asked for anyway have one
// each: they are `ready`, and start when a place is free, with or without the hub (engine_offline.cc).
//
// An operation that brings its own URL starts at `ready` and needs no hub. While the hub is out of reach, operations
// stay `waiting`, and running transfers go on.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "http/message.h"
#include "runtime/blobs.h"
#include "runtime/upload/breaker.h"
#include "runtime/upload/retry.h"

namespace evp::runtime::upload {

using operation_id = std::uint64_t;

struct limits {
  unsigned transfers = 8;              ///< at once
  unsigned transfers_per_storage = 8;  ///< the same to one storage
  unsigned quarantine_after = 30;      ///< tries of a file that its storage cannot take while it takes others
  breaker_policy breaker;
  unsigned asked_ahead = 16;    ///< grants asked for or waiting for a free transfer: more would expire in the queue
  unsigned offline_grants = 0;  ///< those for later, asked for or held, beside the others
  milliseconds offline_pause{3'600'000};  ///< a storage that gives none is asked again after this
  milliseconds offline_retry{60'000};     ///< ... one that gives none for now, after this at least
  milliseconds resend_first{1'000};       ///< a request without an answer is sent again after this, then doubling ...
  milliseconds resend_max{30'000};        ///< ... up to this
  unsigned sends_per_request = 5;         ///< then the operation backs off and asks anew
  milliseconds expiry_margin{5'000};      ///< a grant with less than this to live is not begun
};

/// The upload of one range of the file. Of a grant's own fields, url, fields and expect are the part's.
struct part {
  unsigned number = 1;
  std::string method = "PUT";
  secret url;
  http::headers fields;
  std::uint64_t offset = 0, length = 0;
  std::vector<int> expect;
  secret body_prefix, body_suffix;
};

/// How a file goes up in parts, any of them again if need be.
struct plan {
  std::uint64_t part_bytes = 0;
  unsigned part_count = 1, parallel = 1;  ///< 1 at once: in ascending order
  std::vector<upload::part> parts;        ///< the first page; others by request_parts
};

/// What to send, where, and what success looks like.
struct grant {
  std::optional<upload::plan> plan;  ///< then url, fields and expect are empty
  secret url;
  http::headers fields;
  std::vector<int> expect;
  std::string grant_id;        ///< empty: the hub wants no report
  std::string certificate_id;  ///< empty: the default trust
  std::optional<milliseconds> expires_in;
  bool offline = false;      ///< for later: kept until it is used, or dead
  bool create_only = false;  ///< the storage refuses it once its object exists
};

/// An upload of an earlier run: the storage has the file (or with 412 may have it), and the hub has yet to confirm it.
struct sent_before {
  std::string grant_id;
  transfer_result result;
};

/// An upload in parts of an earlier run.
struct plan_before {
  std::string grant_id, certificate_id;
  upload::plan plan;           ///< without parts: they are asked for
  std::vector<unsigned> done;  ///< the storage has these
  std::uint64_t file_bytes = 0;
};

struct order {
  wire::blob_operation operation = wire::blob_operation::put;
  bool has_checksum = false;         ///< its SHA-256 is known and goes with each request for a grant
  std::string storage;               ///< storages are told apart by it: what fails at one says nothing of another
  std::optional<grant> own;          ///< the module's own URL: nothing is asked of the hub
  steady_time deadline;              ///< at the latest then it has an outcome: ETIMEDOUT
  std::optional<sent_before> sent;   ///< begin with the report; if the hub does not know the grant, upload again
  std::optional<plan_before> began;  ///< go on with these parts; if the hub does not know the grant, begin anew
  std::optional<grant> kept;         ///< for later, of an earlier run, which may have used it already
};

// ---- events ----
struct submitted {
  operation_id id;
  upload::order order;
};  ///< ids ascend
struct grant_received {
  std::uint64_t reqid;
  upload::grant grant;
};
struct grant_failed {
  std::uint64_t reqid;
  error why;
  bool malformed = false;
};
/// The file's SHA-256 (hexadecimal, in result.sha256), or why there is none.
struct file_hashed {
  operation_id id;
  transfer_result result;
};
struct certificate_received {
  std::string certificate_id;
};  ///< verified and stored
struct certificate_failed {
  std::uint64_t reqid;
  error why;
};
struct certificate_lost {
  std::string certificate_id;
};  ///< the store can't read it any more
struct transfer_finished {
  operation_id id;
  unsigned attempt;
  transfer_result result;
  unsigned part = 0;  ///< 0: the whole file
};
struct parts_received {
  std::uint64_t reqid;
  std::vector<upload::part> parts;  ///< checked: of this plan, ascending
  std::optional<milliseconds> expires_in;
};
struct parts_failed {
  std::uint64_t reqid;
  error why;  ///< not_found: the upload is gone
};
struct report_answered {
  std::uint64_t reqid;
  std::optional<error> failure;
};
struct connected {};
struct disconnected {};
struct tick {};
using event = std::variant<submitted, grant_received, grant_failed, file_hashed, certificate_received,
                           certificate_failed, certificate_lost, transfer_finished, parts_received, parts_failed,
                           report_answered, connected, disconnected, tick>;

// ---- actions ----
struct request_grant {
  operation_id id;
  std::uint64_t reqid;
  bool offline = false;  ///< for later
};
/// Compute the SHA-256 of the operation's file, keep it for its requests, then say file_hashed.
struct hash_file {
  operation_id id;
};
struct request_certificate {
  std::uint64_t reqid;
  std::string certificate_id;
};
struct start_transfer {
  operation_id id;
  unsigned attempt;
  upload::grant grant;
  milliseconds time_left;
  std::optional<upload::part> part;  ///< send this part of the file, and say its number when it has finished
};
/// Asks the hub for a page of parts, or for fresh ones.
struct request_parts {
  operation_id id;
  std::uint64_t reqid;
  std::string grant_id;
  unsigned first, last;
  std::uint64_t part_bytes;
  unsigned part_count;
};
/// For who remembers: an upload in parts has begun; the storage has one part of it.
struct note_plan {
  operation_id id;
  plan_before plan;
};
struct note_part {
  operation_id id;
  std::string grant_id;
  unsigned number;
  std::string sha256;  ///< of what was sent, hexadecimal
};
/// For who remembers: the storage has the file, and the hub has yet to confirm it. With status 412: it may have it
/// soon, and would then refuse it a second time. The start_transfer that follows must wait until that is durable.
struct note_sent {
  operation_id id;
  std::string grant_id;
  transfer_result result;
};
/// For who remembers: the operation holds a grant for later; the one that it had is worth nothing any more.
struct note_grant {
  operation_id id;
  upload::grant grant;
};
struct drop_grant {
  operation_id id;
};
struct send_report {
  operation_id id;
  std::uint64_t reqid;
  std::string grant_id;
  bool done;
  transfer_result result;
};
/// Wants a tick at that time (nothing: none); replaces what was wanted before.
struct set_timer {
  std::optional<steady_time> at;
};
struct finish {
  operation_id id;
  blob_outcome outcome;
  std::string message;       ///< for the log, no URL
  bool quarantined = false;  ///< given up because it failed so often while others of its storage did not
};
using action = std::variant<request_grant, hash_file, request_certificate, request_parts, start_transfer, note_plan,
                            note_part, note_sent, note_grant, drop_grant, send_report, set_timer, finish>;
using actions = std::vector<action>;

class engine {
 public:
  /// `seed` feeds jitter and the first request id: runs with the same seed, events and times are the same.
  engine(limits l, retry_policy p, std::uint64_t seed, std::set<std::string> certificates);

  /// Takes one event and says what to do. Late, doubled and unknown answers are ignored.
  actions step(event e, steady_time now);

  std::size_t live() const noexcept { return operations_.size(); }
  std::size_t transferring() const noexcept { return running_.size(); }
  /// The storages that get nothing but probes now.
  std::vector<std::string> open_breakers() const;
  /// The storage has given a grant for later, and not refused one since.
  bool gives_offline(const std::string& storage) const;

 private:
  enum class stage { waiting, hashing, asking, certificate, ready, transferring, in_parts, reporting, backing_off };
  /// Which of the bounds on grants an operation counts towards.
  enum class share { none, ahead, offline };
  /// An upload in parts, under way.
  struct parts_state {
    upload::plan plan;
    std::vector<bool> done;  ///< by number - 1
    unsigned done_count = 0;
    std::map<unsigned, std::vector<int>> running;  ///< with the statuses that mean success
    std::map<unsigned, part> page;
    std::optional<steady_time> page_expires, resend, pause_until;
    unsigned asked_first = 0, asked_last = 0;
    bool noted = false;
    int last_status = 0;
    std::string last_sha256;
    std::uint64_t bytes = 0;
  };
  struct operation {
    upload::order order;
    upload::grant grant;
    stage at = stage::waiting;
    steady_time deadline;
    std::optional<steady_time> wake;
    std::optional<steady_time> grant_expires;
    std::uint64_t reqid = 0;
    unsigned sends = 0;                  ///< of the present request
    unsigned failures = 0;               ///< of anything, so far
    unsigned storage_failures = 0;       ///< that its storage answered for
    std::uint64_t successes_before = 0;  ///< of its storage, at the first of them
    unsigned attempt = 0;                ///< transfers started
    unsigned tries_on_grant = 0;
    bool may_be_there = false;    ///< a transfer on this grant had no clear end: its object may exist
    unsigned grants_refused = 0;  ///< 401s and 403s
    share counted = share::none;
    bool asks_offline = false;    ///< its present request is for a grant for later
    bool no_offline = false;      ///< was refused one for itself
    bool stalled = false;         ///< has had a grant that came to nothing
    bool of_earlier_run = false;  ///< its grant is, or may have been used up by a transfer without a clear end
    transfer_result sent;         ///< what is being reported
    std::unique_ptr<parts_state> parts;
  };
  struct storage_state {
    breaker gate;
    unsigned running = 0;
    std::uint64_t successes = 0;
    bool wants_checksum = false;  ///< its files are hashed before a grant is asked for
    bool gives_offline = false;
    operation_id offline_probe = 0;  ///< finds out whether it does
    std::optional<steady_time> no_offline_before;
  };
  struct wanted_certificate {
    std::uint64_t reqid = 0;
    unsigned sends = 0;
    unsigned failures = 0;
    std::optional<steady_time> wake;
    std::set<operation_id> waiting;
  };
  using operation_map = std::map<operation_id, operation>;

  void on(submitted e);
  void on(grant_received e);
  void on(grant_failed e);
  void on(file_hashed e);
  void on(certificate_received e);
  void on(certificate_failed e);
  void on(certificate_lost e);
  void on(transfer_finished e);
  void on(parts_received e);
  void on(parts_failed e);
  void on(report_answered e);
  void on(connected);
  void on(disconnected);
  void on(tick) {}

  void run_due_timers();
  void wake_up(operation_map::iterator op);
  void start_what_fits();
  void want_timer();

  void ask(operation_map::iterator op, bool offline);
  void ask_offline_ahead();
  bool may_ask_offline(const operation& o) const;
  void note_offline_answer(operation& o);
  void refuse_offline(operation_map::iterator op, const error& why);
  void use_kept(operation_map::iterator op);
  void forget_offline(operation_map::iterator op);
  bool lacks_certificate(const operation& o) const;
  bool lacks_checksum(operation_map::iterator op) const;
  void hash(operation_map::iterator op);
  void ask_again(operation_map::iterator op);
  void want_certificate(operation_map::iterator op);
  void ask_certificate(const std::string& id, wanted_certificate& w);
  void begin_transfer(operation_map::iterator op);
  void begin_parts(operation_map::iterator op);
  void start_parts(operation_map::iterator op);
  bool start_part(operation_map::iterator op);
  void part_finished(operation_map::iterator op, transfer_finished e);
  void ask_parts(operation_map::iterator op, unsigned first);
  void ask_parts_again(operation_map::iterator op);
  void forget_plan(operation_map::iterator op);
  void want_parts_wake(operation_map::iterator op);
  void fail_transfer(operation_map::iterator op, const transfer_result& why, bool quarantined = false);
  void note_answer(storage_state& s, verdict v, const transfer_result& r);
  bool may_be_ours(const operation& o, const transfer_result& r) const;
  bool is_poison(operation_map::iterator op, const storage_state& s);
  bool may_start(operation_map::iterator op, std::optional<steady_time>& not_before);
  void begin_report(operation_map::iterator op);
  void report(operation_map::iterator op);
  void back_off(operation_map::iterator op, std::optional<milliseconds> retry_after);
  static bool would_be_refused(const operation& o);
  void ask_whether_it_arrived(operation_map::iterator op);
  void ask_for_another_grant(operation_map::iterator op);
  void abandon_grant(operation_map::iterator op, const transfer_result* why);
  void end(operation_map::iterator op, blob_outcome outcome, std::string message, bool quarantined = false);
  void end_with_errno(operation_map::iterator op, int number, std::string message);

  void move(operation_map::iterator op, stage to);
  void set_wake(operation_map::iterator op, std::optional<steady_time> at);
  operation_map::iterator find_request(std::uint64_t reqid, stage at);
  void new_request(operation_map::iterator op);
  milliseconds resend_wait(unsigned sends) const;
  bool usable_grant(const operation& op) const;
  static share share_of(const operation& o);

  const limits limits_;
  const retry_policy policy_;
  std::mt19937_64 random_;
  std::set<std::string> certificates_;

  operation_map operations_;
  std::map<std::uint64_t, operation_id> requests_;                 ///< reqid -> operation asking or reporting
  std::map<std::string, wanted_certificate> wanted_certificates_;  ///< by certificate id
  std::set<operation_id> waiting_, ready_, in_parts_;              ///< the oldest first
  struct running_transfer {
    unsigned attempt;
    std::string storage;
  };
  std::map<std::pair<operation_id, unsigned>, running_transfer> running_;  ///< (id, part); also of the ended
  std::map<std::string, storage_state> storages_;
  std::size_t ahead_ = 0, offline_ = 0;  ///< operations that count so
  std::set<std::pair<steady_time, operation_id>> wakes_, deadlines_;
  std::uint64_t next_reqid_;
  bool connected_ = false;

  steady_time now_{};
  actions out_;
  std::optional<steady_time> timer_;
};

}  // namespace evp::runtime::upload
