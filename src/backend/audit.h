// The audit: who changed what and who was granted what, chained so that nobody changes it unseen (docs/audit.md).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/page.h"
#include "backend/signal.h"
#include "base/audit_chain.h"
#include "io/clock.h"
#include "sql/audit_store.h"
#include "sql/database.h"

namespace evp::backend {

/// On whose behalf something is done, and where the request came from.
struct origin {
  origin() = default;  ///< the program itself
  origin(std::string who, std::string address) : actor(std::move(who)), peer(std::move(address)) {}
  std::string actor{audit_actor::system};
  std::string peer;  ///< address of the connection's other end; empty: not known
};

/// Of a device, which is behind the broker: nothing is known of where it is.
origin of_device(std::string_view id);

/// The names of what is done: the one list that the use cases, the REST API and docs/audit.md share.
namespace action {
inline constexpr std::string_view service_create = "service.create", service_replace = "service.replace",
                                  service_remove = "service.remove", device_create = "device.create",
                                  device_remove = "device.remove", device_block = "device.block",
                                  device_unblock = "device.unblock", deployment_set = "deployment.set",
                                  deployment_remove = "deployment.remove", configuration_set = "configuration.set",
                                  configuration_remove = "configuration.remove", module_upload = "module.upload",
                                  module_remove = "module.remove", hook_set = "hook.set", hook_remove = "hook.remove",
                                  command_send = "command.send", grant_put = "grant.put", grant_get = "grant.get",
                                  grant_renew = "grant.renew", tenant_create = "tenant.create",
                                  tenant_remove = "tenant.remove", key_create = "key.create", key_remove = "key.remove",
                                  master_key_rotate = "master-key.rotate", enrolment_create = "enrolment.create",
                                  enrolment_remove = "enrolment.remove", certificate_issue = "certificate.issue",
                                  certificate_renew = "certificate.renew", login = "login",
                                  audit_truncate = "audit.truncate", service_change = "service.change",
                                  service_change_back = "service.change-back", service_fall_back = "service.fall-back",
                                  service_change_finish = "service.change-finish", policy_set = "policy.set",
                                  policy_remove = "policy.remove", group_set = "group.set",
                                  group_remove = "group.remove", device_change = "device.change";
inline constexpr std::string_view service_block = "service.block", service_unblock = "service.unblock",
                                  module_block = "module.block", module_unblock = "module.unblock",
                                  instance_block = "instance.block", instance_unblock = "instance.unblock",
                                  block_drill = "block.drill", certificate_revoke = "certificate.revoke",
                                  service_end_grants = "service.end-grants";
}  // namespace action

/// What it is done to.
namespace kind {
inline constexpr std::string_view service = "service", device = "device", deployment = "deployment",
                                  configuration = "configuration", module_file = "module", hook = "hook",
                                  command = "command", object = "object", tenant = "tenant", key = "key",
                                  master_key = "master-key", enrolment = "enrolment", audit = "audit",
                                  policy = "policy", group = "group", instance = "instance";
}  // namespace kind

/// The record of something that is done now, with the outcome "ok", for sql::connection::note. Names and details
/// beyond audit::max_text_bytes are cut, and bytes that are no UTF-8 text are percent-encoded.
audit_record done_now(const io::clock& clock, const origin& by, std::string_view action, std::string_view kind,
                      std::string_view name, std::string_view detail = {});

/// Leaves the record where the change has been made.
template <class T>
result<T> noted(sql::connection& c, audit_record r, result<T> outcome) {
  if (outcome) c.note(std::move(r));
  return outcome;
}
/// The same where false says that there was nothing to change.
inline result<bool> noted(sql::connection& c, audit_record r, result<bool> outcome) {
  if (outcome && *outcome) c.note(std::move(r));
  return outcome;
}

/// How records name a thing of that tenant (base/names.h); a name that none can have stands as it is.
std::string audit_name(std::string_view tenant, const std::string& name);

struct audit_filter {
  std::optional<timestamp> since, until;  ///< since <= at < until
  std::optional<std::string> actor;
  std::optional<std::string> object;  ///< its name, or the part of it before a '/'
};

struct audit_limits {
  milliseconds gather_for{60'000};    ///< refusals that are alike are one record for so long
  std::size_t max_gathered = 10'000;  ///< different ones at once; beyond, one record stands for all others
  milliseconds truncate_every{3'600'000};
};

/// Confined to its executor. The records of changes and of grants are written in the transactions that make them
/// (sql::connection::note); here are those of refusals, which change nothing, and the reading of all.
class audit {
 public:
  static constexpr std::size_t max_text_bytes = 1200;
  static constexpr std::int64_t max_looked_at = 20'000;  ///< rows that one page searches
  static constexpr std::size_t max_piece = 1000;         ///< rows of one read of an export
  static constexpr std::size_t max_dropped = 1000;       ///< at once

  audit(sql::database& db, const io::clock& clock, audit_limits limits = {})
      : db_(db), clock_(clock), limits_(limits) {}

  /// Something was asked for and refused. The first of its kind is written at once; others of the same actor, action,
  /// object, peer and code within the next minute become one more record, which says how many, and first and last.
  void refused(const origin& by, std::string_view action, std::string_view kind, std::string_view name, errc code);
  /// Writes what is due. Errors: the database's; then it stays due.
  io::task<result<void>> write_due();
  /// All that was not written yet, whether due or not: at the end.
  io::task<result<void>> flush();
  /// Writes what is due as it becomes so, until cancelled.
  io::task<void> write_forever();
  /// Drops what is older, max_dropped records at most, and leaves a record of that. The number. Errors: the database's.
  io::task<result<std::size_t>> truncate(timestamp before);
  /// Drops what is older than that, until cancelled.
  io::task<void> truncate_forever(milliseconds retention);

  /// Newest first. A page may have less than its limit, even none, and be followed by more: it looks at max_looked_at
  /// rows. Errors: invalid_argument at "limit" or "cursor", the database's.
  io::task<result<page<sql::audit_row>>> list(audit_filter f, page_request r);
  /// The next max_piece after that number, oldest first. Errors: the database's.
  io::task<result<std::vector<sql::audit_row>>> read_after(std::int64_t number);
  /// Errors: the database's.
  io::task<result<sql::audit_ends>> ends();

  struct counters {
    std::uint64_t refusals = 0;  ///< told of
    std::uint64_t records = 0;   ///< that were written for them
    std::size_t gathered = 0;    ///< different ones in memory now
  };
  counters count() const;

 private:
  struct gathered {
    audit_record record;
    std::uint64_t unwritten = 0;
    timestamp first, last;
    std::optional<steady_time> open_until;  ///< nothing: none of it was written yet
  };
  io::task<result<void>> write(bool all);

  sql::database& db_;
  const io::clock& clock_;
  audit_limits limits_;
  signal news_;
  std::map<std::string, gathered> gathered_;
  counters counters_;
};

}  // namespace evp::backend
