// Tables upload_events and event_sequence: each change of an upload's state, numbered in the order of the commits.
#pragma once

#include "sql/ledger_store.h"

namespace evp::sql {

struct upload_event_row {
  std::int64_t sequence = 0;
  upload_row upload;  ///< state, reason and updated_at as the change made them, the rest as it is now
};

struct event_query {
  std::int64_t after = 0;                                          ///< only changes after this number
  std::optional<std::string> tenant, device, service_name, state;  ///< as in upload_query
  std::string from_id;                                             ///< only grant ids at or after this one; empty: all
  std::int64_t limit = 100;  ///< changes looked at, whether they pass the filter or not
};

struct event_page {
  std::vector<upload_event_row> events;  ///< oldest first
  std::int64_t position = 0;             ///< the last change that was looked at
  bool more = false;                     ///< there may be changes after it already
};

/// Where the sequence stands.
struct event_sequence {
  std::int64_t newest = 0;     ///< the last number that was given; 0: none
  std::int64_t forgotten = 0;  ///< the last one that retention removed; 0: none
};

/// All functions: database thread; errors: the connection's.
/// Numbers the change from the state `before` (empty: the row is new) to `state`, in the transaction that makes it:
/// find_event_sequence tells the number there. Not asked for here, since most callers don't care and each grant would
/// pay for it.
result<void> append_upload_event(connection& c, const std::string& grant_id, const std::string& before,
                                 const std::string& state, const std::string& reason, std::int64_t at);
result<event_page> list_upload_events(connection& c, const event_query& q);
/// Nothing: it was forgotten.
result<std::optional<upload_event_row>> find_upload_event(connection& c, std::int64_t sequence);
result<event_sequence> find_event_sequence(connection& c);
struct upload_count {
  std::string state;
  std::int64_t rows = 0;
};
/// Of each state how many rows there are: kept with the changes, since counting millions would hold up the grants.
result<std::vector<upload_count>> count_uploads(connection& c);

/// How far a reader of the program's own has come; a reader that was never seen begins at the newest change.
result<std::int64_t> find_reader(connection& c, const std::string& name);
result<void> move_reader(connection& c, const std::string& name, std::int64_t position);

/// Removes uploads that have ended, and their changes, where the last change was before that time and the grant is dead
/// too; not those of which a hook is still to be told. The oldest first, at most `limit`. Returns the number.
result<std::int64_t> forget_uploads(connection& c, std::int64_t before_ms, const std::string& before_id,
                                    std::int64_t limit);

}  // namespace evp::sql
