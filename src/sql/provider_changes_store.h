// Tables provider_changes and provider_change_counts: which service signs in another's place, for whom, and how it
// goes.
#pragma once

#include "sql/ledger_store.h"
#include "sql/policies_store.h"

namespace evp::sql {

/// The newest change of provider of one service. It stays when it is over: its figures and its revision are asked for.
struct provider_change_row {
  std::string source_id, source_name;  ///< the service that devices ask for; its names never change
  std::string id;                      ///< of this change; the next one of the service has another
  std::string target_id, target_name;
  std::int64_t revision = 0;  ///< counts the changes of this row and of those before it: services.change_revision
  std::int64_t percent = 0;   ///< of the devices, 0 to 100
  std::int64_t error_percent = 0, minimum = 0, window_ms = 0;  ///< when it falls back
  bool shadow = false;                                      ///< verified uploads of the source are copied to the target
  std::string state;                                        ///< "running", "fallen back", "gone back", "finished"
  std::string reason;                                       ///< of a fall-back: one sentence; else empty
  std::int64_t began_at = 0, updated_at = 0, ended_at = 0;  ///< Unix time, ms; 0: it runs
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<provider_change_row>> list_provider_changes(connection& c);
result<std::optional<provider_change_row>> find_provider_change(connection& c, const std::string& source_id);
/// The same. Until this transaction has ended nobody else changes it, and no grant is written for its source. Errors:
/// not_found (the source exists no more).
result<std::optional<provider_change_row>> hold_provider_change(connection& c, const std::string& source_id);
/// Inserts or replaces it with the next revision, so that no grant counts that was made by an older one; other programs
/// hear of it. Only where it is held.
result<void> put_provider_change(connection& c, provider_change_row r);
/// Before a service is removed, which nobody else can change from now on: errors: failed_precondition (it takes part in
/// a change that runs).
result<void> check_takes_no_part(connection& c, const std::string& service_id);
/// Before a change begins: neither is the source where another change leads to, nor does the target lead on, and the
/// target stays until this transaction has ended. Errors: failed_precondition, not_found.
result<void> check_can_begin(connection& c, const std::string& source_id, const std::string& target_id);

/// Whether the row's service may sign, as of the last commit and until the end of this transaction: it has that
/// revision still, the tenant's policies are at that epoch, and no change of provider has led elsewhere meanwhile.
/// Without `asked` (more parts of an upload that was granted before): not where that change of provider runs no more.
/// Gives the number of blocks (blocks_store.h), none of which comes or goes meanwhile; nothing: it may not. One
/// statement, where no change leads to another service: each grant asks it.
result<std::optional<std::int64_t>> may_sign(connection& c, const upload_row& row, const service_asked_for& asked,
                                             const known_policies& policies);
/// Whether a file of that name went to the target for who asked for the source.
result<bool> has_rerouted_object(connection& c, const provider_change_row& r, const std::string& object);
/// Grants of the target for who asked for the source, that are good after that time.
result<live_grants_row> find_rerouted_grants(connection& c, const provider_change_row& r, std::int64_t now_ms);

/// What became of the uploads of one side.
struct side_counts {
  std::int64_t granted = 0, refused = 0;  ///< refused: the storage or its credentials could not sign
  std::int64_t verified = 0, uploaded = 0, failed = 0, expired = 0;
  std::int64_t copied = 0, not_copied = 0, skipped = 0;  ///< shadow writes; of the target's side only
  std::int64_t outcomes() const noexcept { return refused + verified + uploaded + failed + expired; }
  std::int64_t errors() const noexcept { return refused + failed + expired; }
  side_counts& operator+=(const side_counts& o) noexcept;
};
struct change_counts {
  side_counts from, to;                ///< since it began
  side_counts from_lately, to_lately;  ///< outcomes since a time
};
/// Lately is counted in slices of so many ms: up to one more than was asked for.
inline constexpr std::int64_t count_slice_ms = 5'000;
inline constexpr std::int64_t max_count_window_ms = 6 * 3'600'000;

/// In the transaction that grants an upload or moves it from `before` to that state: counts it where a change of
/// provider was under way when it was granted.
void count_granted(connection& c, const upload_row& u);
void count_moved(connection& c, const upload_row& before, const std::string& state, std::int64_t at);
/// So many grants that a side could not sign.
void count_refused(connection& c, const std::string& change_id, bool is_target, std::int64_t number, std::int64_t at);
/// What became of so many shadow writes.
enum class shadow_outcome { copied, not_copied, skipped };
void count_shadow(connection& c, const std::string& change_id, shadow_outcome how, std::int64_t at);
result<change_counts> find_change_counts(connection& c, const std::string& change_id, std::int64_t since_ms);

}  // namespace evp::sql
