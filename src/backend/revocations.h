// Which certificates admit nobody any more: those of our own authority that were revoked, and those that other issuers
// have in their lists (ADR 0040).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backend/gateway.h"
#include "base/certificate_id.h"
#include "io/clock.h"
#include "sql/revocations_store.h"

namespace evp::backend {

/// In memory, for the brokers, and of our own also in the database. Ids are those of base/certificate_id.h, 32 raw
/// bytes. Confined to its executor.
class revocations {
 public:
  /// A certificate stays for so long after it has expired: clocks of brokers may be off.
  static constexpr milliseconds kept_after_expiry = std::chrono::hours(24);

  /// gateway may be null until set_gateway; the references outlive this.
  revocations(sql::database& db, const io::clock& clock) : db_(db), clock_(clock) {}
  void set_gateway(device_gateway* gateway) { gateway_ = gateway; }

  /// In a transaction that revokes: writes the row and lets the other backends hear of it; false: it was revoked
  /// already. When it is committed, refresh() is to be called with its id. Database thread. Errors: too_large
  /// (max_revoked_certificates), the connection's.
  static result<bool> write(sql::connection& c, const sql::revoked_certificate_row& r);

  /// Reads all of our own, without telling anybody: for the start. Errors: the database's.
  io::task<result<void>> load();
  /// Takes over from the database what it has of these (64 hexadecimal digits each), and tells the broker what is new.
  /// Gives why the broker could not be told; it will be when it is found anew. Errors: the database's.
  io::task<result<std::optional<error>>> refresh(std::set<std::string> ids);
  /// The same with all of them, without those that have expired. Errors: the database's.
  io::task<result<void>> refresh_all();
  /// Forgets what has expired, in memory and in the database, until cancelled.
  io::task<void> forget_forever();

  /// What a list of another issuer's has now, in the place of what it had; tells the broker. The name says which list.
  /// Errors: too_large (max_revoked_certificates; nothing is changed then).
  io::task<result<void>> set_list(std::string name, std::set<std::string> ids);

  bool contains(std::string_view id) const { return all_.contains(id); }
  std::size_t count() const noexcept { return all_.size(); }
  /// For the broker when it is found anew: the next after that one, in their order.
  std::vector<std::string> all(std::string_view after = {}, std::size_t limit = max_revoked_certificates) const;

 private:
  struct entry {
    bool is_own = false;
    unsigned lists = 0;  ///< which have it
  };
  io::task<std::optional<error>> tell(std::vector<std::string> revoked, std::vector<std::string> restored);
  /// Makes the change in its entry, and notes whether it is revoked, or restored, by that.
  template <class Change>
  void change(const std::string& id, Change what, std::vector<std::string>& revoked,
              std::vector<std::string>& restored);
  io::task<result<std::set<std::string>>> read_own();

  sql::database& db_;
  const io::clock& clock_;
  device_gateway* gateway_ = nullptr;
  std::map<std::string, entry, std::less<>> all_;
  std::map<std::string, std::set<std::string>> lists_;
};

}  // namespace evp::backend
