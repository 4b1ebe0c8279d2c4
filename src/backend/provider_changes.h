// Changes of a service's provider: a share of its devices is sent to another storage, falls back when that fails, and
// goes back at one call.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/ledger.h"
#include "backend/services.h"
#include "sql/provider_changes_store.h"

namespace evp::backend {

enum class change_state { running, fallen_back, gone_back, finished };
/// "running", "fallen back", "gone back", "finished".
std::string_view to_string(change_state s) noexcept;

/// The body of a PUT. What is left out stays as it is; at the beginning it has the defaults below.
struct change_input {
  std::optional<std::string> to;        ///< the tenant's own name of the other service; needed at the beginning
  std::optional<std::int64_t> percent;  ///< of the devices, 0 to 100; needed at the beginning
  std::optional<std::int64_t> error_percent, minimum;
  std::optional<milliseconds> window;
  std::optional<bool> shadow;
};

/// A change as users see it.
struct change_view {
  std::string service, to;  ///< scoped names (base/names.h)
  change_state state = change_state::running;
  std::string reason;  ///< why it fell back
  int percent = 0;
  int error_percent = 0;
  std::int64_t minimum = 0;
  milliseconds window{};
  bool shadow = false;
  timestamp began_at, updated_at;
  std::optional<timestamp> ended_at;
  sql::change_counts figures;             ///< lately: of the window
  std::vector<std::string> warnings;      ///< what devices of the other service can do less, one sentence each
  std::optional<live_grants> still_good;  ///< after it went back: at the other service
};

/// The name of the device's object at that service. Errors: invalid_argument.
using object_namer = std::function<result<std::string>(const live_service&)>;

/// Which service answers a device, and what the ledger must know of that.
struct grant_route {
  std::shared_ptr<live_service> service;
  std::string asked_service, change_id;  ///< as in struct upload
  sql::service_asked_for asked;
  void write_to(upload& row) const;
};

/// Whether the device is one of those `percent` of 100 that a change of that service has. Always the same for one
/// device and service, and who is in at a percentage is in at every higher one. Pure.
bool takes_part(std::string_view service_id, std::string_view device, int percent);
/// Whether so many errors among so many outcomes pass the bound. Pure.
bool is_beyond(const sql::side_counts& lately, std::int64_t error_percent, std::int64_t minimum);

/// Confined to its executor. Changes are in the database, and in memory for the path of grants; a grant that was routed
/// by older knowledge is refused in the ledger's transaction (ADR 0037). Each change is recorded in the audit.
class provider_changes {
 public:
  static constexpr std::int64_t default_error_percent = 10;
  static constexpr std::int64_t default_minimum = 20;  ///< outcomes before a rate means anything
  static constexpr milliseconds default_window{600'000};
  static constexpr milliseconds min_window{10'000};
  static constexpr milliseconds max_window{sql::max_count_window_ms};
  static constexpr std::int64_t max_minimum = 1'000'000;
  static constexpr milliseconds look_every{1'000};  ///< without news
  static constexpr milliseconds gather_for{100};    ///< after news

  provider_changes(sql::database& db, services& s, ledger& l, const io::clock& clock)
      : db_(db), services_(s), ledger_(l), clock_(clock) {}

  /// Reads all changes, as others may have made them. Errors: the database's.
  io::task<result<void>> load();

  /// Begins a change, or alters the one that runs. Errors: not_found (the service), invalid_argument at a field,
  /// failed_precondition at "to" (another change is under way), the database's.
  io::task<result<change_view>> put(std::string service, change_input in, origin by = origin());
  /// Errors: not_found (no such service, or it never had a change), the database's.
  io::task<result<change_view>> get(std::string service);
  /// All devices ask the old storage again, from the commit of this call on. Idempotent. Errors: as get,
  /// failed_precondition (it is finished).
  io::task<result<change_view>> go_back(std::string service, origin by = origin());
  /// Gives the service the configuration of the other one, for good. Errors: as get, failed_precondition (it does not
  /// run, or not at 100 percent), those of services::take_configuration.
  io::task<result<change_view>> finish(std::string service, origin by = origin());

  /// For a grant of `asked`, which the device's request means. Downloads go where the object went since the change
  /// began. Errors: unavailable (the other service is not known here yet), the database's (downloads only).
  io::task<result<grant_route>> route(std::shared_ptr<live_service> asked, std::string device, bool is_get,
                                      bool is_offline, object_namer name_of);
  /// The storage that the route led to could not sign: an outcome too, though the ledger has no row of it.
  void note_refused(const grant_route& r);

  /// Writes what was noted, and lets those changes fall back whose error rate passes their bound. The number that did.
  /// Errors: the database's; then it is done the next time.
  io::task<result<std::size_t>> watch_once();
  /// The same after each change of the ledger, until cancelled or the ledger is closed.
  io::task<void> watch_forever();

  /// A change that runs, and copies what its source verifies.
  struct shadowed {
    std::string change_id, source_name, target_name;
  };
  std::vector<shadowed> all_shadowed() const;

  struct totals {
    std::map<std::string, std::uint64_t> by_state;  ///< changes
    sql::side_counts from, to;                      ///< of those that run
    std::uint64_t fell_back = 0;                    ///< by this program, since it runs
  };
  /// Reads the database: for metrics. Errors: the database's.
  io::task<result<totals>> count();

 private:
  struct known {
    std::string id, source_name, target_id, target_name;
    std::int64_t revision = 0;
    int percent = 0;
    bool runs = false, shadow = false;
  };
  struct refusals {
    std::int64_t from = 0, to = 0;
  };
  io::task<result<bool>> fall_back(std::string source_id);
  io::task<result<void>> write_refusals();
  std::vector<std::string> warnings(const service_view& from, const service_view& to) const;

  sql::database& db_;
  services& services_;
  ledger& ledger_;
  const io::clock& clock_;
  std::map<std::string, known, std::less<>> known_;     ///< by the source's id
  std::map<std::string, refusals, std::less<>> noted_;  ///< by the change's id
  std::uint64_t fell_back_ = 0;
};

}  // namespace evp::backend
