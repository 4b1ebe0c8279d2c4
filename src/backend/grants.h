// Grants: the answer to a device that wants to put or get an object, and the check of what it did with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "backend/audit.h"
#include "backend/blocks.h"
#include "backend/devices.h"
#include "backend/ledger.h"
#include "backend/services.h"
#include "io/clock.h"
#include "wire/messages.h"

namespace evp::backend {

struct grant_limits {
  double per_device_per_second = 500;  ///< a device in a hurry, not a fleet gone wild
  double per_device_burst = 2000;
  milliseconds answer_within{4'000};       ///< the public agent gives up at 5 s
  milliseconds idempotent_for{10'000};     ///< the same request id gives the same grant for this long
  std::size_t max_remembered = 20'000;     ///< grants remembered for that, over all devices
  std::size_t max_rate_entries = 100'000;  ///< devices whose rate is remembered
  milliseconds sweep_every{5'000};
  milliseconds sweep_after{10'000};  ///< beyond a grant's expiry, for uploads that were under way
  std::size_t sweep_batch = 100;
  std::size_t sweep_parallel = 8;           ///< HEADs at once
  std::uint64_t parts_above = 64ULL << 20;  ///< a larger file goes in parts, where device and storage can
  unsigned parts_in_parallel = 4;           ///< what a plan allows
  milliseconds parts_live_for{86'400'000};  ///< an upload in parts without a renewal for so long is dropped
  std::size_t offline_per_device = 100;     ///< offline grants that live and are not used
};

class policies;
class provider_changes;

/// What grants are made with. All outlive them.
struct grants_context {
  io::executor ex;
  class services& services;
  class devices& devices;
  class policies& policies;
  provider_changes& changes;
  class blocks& blocks;
  class ledger& ledger;
  class audit& audit;
  const io::clock& clock;
  grant_limits limits;
};

/// Confined to its executor. Every answer carries its failure inside, so that a device is always told.
class grants {
 public:
  explicit grants(grants_context c);
  ~grants();
  /// Ends what is under way; before destruction.
  io::task<void> stop();

  /// Resolves the service and the object's name, signs, writes the ledger row durably, answers; within 4 s always.
  /// `device` is the authenticated one; what it may have its policies say (backend/policy.h). The same request id again
  /// within 10 s gives the same grant (only for requests with `accept`: older agents reuse ids after a restart).
  /// Failures: permission_denied (blocked; name outside the device's prefix), not_found (storage), invalid_argument,
  /// rate_limited (retry_after), unavailable, deadline_exceeded. A request for an offline grant also: unsupported (the
  /// storage gives none), too_large (the file would go in parts), rate_limited (the device has
  /// grant_limits::offline_per_device).
  io::task<wire::storage_token_response> issue(std::string device, wire::storage_token_request r, wire::dialect d);

  /// Compares the object with the report and settles the ledger row. Idempotent. Failures: not_found (no such grant of
  /// this device), data_corrupt (another size), unavailable with retry_after (the storage cannot be asked now; the row
  /// stays "uploaded"), permission_denied (blocked).
  io::task<wire::transfer_report_response> report(std::string device, wire::transfer_report r);

  /// Fresh signatures for parts of an upload that goes in parts; fewer than asked for where a message would get too
  /// long. The upload's life is prolonged. Failures: not_found (no such upload of this device, or it is gone),
  /// invalid_argument (parts that it does not have), permission_denied (blocked), rate_limited, and as issue.
  io::task<wire::grant_renew_response> renew(std::string device, wire::grant_renew_request r);

  /// The CA bundle of a service. Failures: not_found, permission_denied (blocked).
  wire::certificate_response certificate(const std::string& device, const wire::certificate_request& r) const;

  /// Settles grants that expired without a report: one HEAD, then verified or expired. Gives the number settled; a
  /// storage out of reach leaves its rows for the next sweep.
  io::task<result<std::size_t>> sweep_once();
  /// Sweeps until cancelled, while leads() says so: another backend may do it for this one.
  io::task<void> sweep_forever(std::function<bool()> leads);

  struct counters {
    std::uint64_t issued = 0, repeated = 0, refused = 0, rate_limited = 0, failed = 0;
    std::uint64_t verified = 0, mismatched = 0, unverifiable = 0;
  };
  const counters& count() const noexcept { return counters_; }
  /// How a request for a grant or a report ended, for metrics.
  struct answered {
    std::string_view outcome;  ///< of grants: those of counters; of reports: "verified", "not_verified" or "failed"
    std::string_view type;     ///< of the storage access service; "none" where none was found
    double seconds = 0;        ///< between the request and its answer
  };
  std::function<void(answered)> on_answered;  ///< grants; empty: nobody asks
  std::function<void(answered)> on_reported;  ///< reports

 private:
  struct pending;
  struct memory;
  struct committing;
  io::task<void> work(std::shared_ptr<pending> p, std::string device, wire::storage_token_request r);
  io::task<result<wire::storage_token_response>> make(std::string device, wire::storage_token_request r);
  /// Nothing: the service was changed or removed meanwhile, perhaps by another backend on the same database.
  io::task<result<std::optional<wire::storage_token_response>>> make_once(std::string device,
                                                                          wire::storage_token_request r);
  storage::sign_spec spec_of(const live_service& s, const upload& row, const wire::storage_token_request& r) const;
  io::task<result<wire::storage_token_response>> sign(std::shared_ptr<live_service> s, std::shared_ptr<upload> row,
                                                      wire::storage_token_request r) const;

  // Uploads in parts (grant_plans.cc).
  static bool goes_in_parts(const live_service& s, const wire::storage_token_request& r, verification verify,
                            const grant_limits& limits);
  /// A grant that is no plain PUT (a POST, or with text around the bytes), for devices that know plans. Errors:
  /// unsupported (this one does not), invalid_argument (it told no size).
  static result<wire::grant_plan> plan_of_one_part(storage::signed_request made, const wire::storage_token_request& r);
  /// Begins the upload and signs its first page; fills parts_id and part_bytes of the row.
  io::task<result<wire::storage_token_response>> plan(std::shared_ptr<live_service> s, std::shared_ptr<upload> row,
                                                      wire::storage_token_request r) const;
  /// Signs from first on, at most to last, as many as a message holds. The soonest expiry goes to expires_at.
  io::task<result<std::vector<wire::grant_part>>> sign_parts(std::shared_ptr<live_service> s, upload row,
                                                             unsigned first, unsigned last,
                                                             std::shared_ptr<timestamp> expires_at) const;
  io::task<result<wire::grant_renew_response>> sign_again(std::string device, wire::grant_renew_request r);
  /// Makes the object of the parts that arrived. Errors: data_corrupt (a part is missing or has another size), and what
  /// the storage says. An upload that the storage knows no more passes: it may have been committed before.
  io::task<result<void>> commit(std::shared_ptr<live_service> s, upload row) const;
  io::task<void> abort(std::shared_ptr<live_service> s, upload row) const;
  /// Waits for the one commit of this upload that is under way, or starts it. It goes on when the wait is cancelled: a
  /// storage may take minutes.
  io::task<result<void>> commit_once(std::shared_ptr<live_service> s, upload row);
  /// The type of the service that the device's request means; "none" where there is none.
  std::string_view type_of(const std::string& device, const wire::storage_token_request& r) const;
  /// For the audit: the device asked for it, and was told no.
  void note_refusal(const std::string& device, std::string_view what, const std::optional<std::string>& key,
                    const error& e);
  result<void> take_token(const std::string& device);
  io::task<result<bool>> settle_report(std::string device, wire::transfer_report r);
  /// For a storage that is asked about an object; the rest is for writing down what came of it.
  milliseconds stat_limit() const { return limits_.answer_within * 3 / 4; }
  /// `reported`: what to write where the storage confirms it.
  io::task<result<bool>> verify(upload u, upload_outcome reported);
  /// Without a look at the object: the storage's success is the proof, if the report fits what the grant was bound to.
  io::task<result<bool>> settle_by_checksum(upload u, wire::transfer_report r);
  /// The storage has an object of that name already, says the device, whose own transfer may have made it: so it is if
  /// it has the size, is no older than the grant, and no other grant was for that name. Failures: already_exists,
  /// unavailable with retry_after.
  io::task<result<bool>> settle_existing(upload u, int http_status);
  io::task<result<void>> sweep_one(upload u);
  io::task<void> sweep_worker(std::shared_ptr<std::vector<upload>> rows, std::shared_ptr<std::size_t> next,
                              std::shared_ptr<std::size_t> settled);

  io::executor ex_;
  services& services_;
  devices& devices_;
  policies& policies_;
  provider_changes& changes_;
  blocks& blocks_;
  ledger& ledger_;
  audit& audit_;
  const io::clock& clock_;
  grant_limits limits_;
  counters counters_;
  std::unique_ptr<memory> memory_;
  std::map<std::string, std::shared_ptr<committing>> commits_;  ///< under way, by grant id
  io::group running_;
};

}  // namespace evp::backend
