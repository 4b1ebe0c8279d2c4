// Tables audit and audit_chain: who did what, chained by hashes; the newest hash and the last dropped one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct audit_row {
  audit_record record;
  std::string hash;  ///< 64 lower-case hexadecimal digits
};

/// The two ends of the chain.
struct audit_ends {
  std::int64_t number = 0;  ///< of the newest record; 0: none was ever written
  std::string hash;         ///< its hash
  std::int64_t dropped_number = 0;
  std::string dropped_hash;  ///< of the last record that retention dropped: what the first remaining one is chained to
};

/// Records with numbers in (after, before), and only those that fit.
struct audit_query {
  std::int64_t after = 0, before = INT64_MAX;
  std::optional<std::int64_t> since, until;  ///< Unix time, ms: since <= at < until
  std::optional<std::string> actor;
  std::optional<std::string> object;  ///< the name, or what it begins with up to a '/'
  bool oldest_first = false;
  std::int64_t limit = 100;
};

/// All functions: database thread; errors: the connection's.
/// Numbers the records, chains them, and moves the end. Nothing for none. For database, at the end of a transaction:
/// others call connection::note. Errors also: data_corrupt (the chain's end is no hash).
result<void> append_audit(connection& c, std::vector<audit_record>& records);
result<std::vector<audit_row>> list_audit(connection& c, const audit_query& q);
result<audit_ends> find_audit_ends(connection& c);
/// When the first remaining record at or after that number was written; nothing: there is none.
result<std::optional<std::int64_t>> audit_time(connection& c, std::int64_t number);
/// Drops the oldest records, at most `limit`, up to the first one that is not before that time; what the rest is
/// chained to stays. The number of them.
result<std::int64_t> truncate_audit(connection& c, std::int64_t before_ms, std::int64_t limit);

}  // namespace evp::sql
