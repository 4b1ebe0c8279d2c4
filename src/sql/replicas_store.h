// Tables replicas, roll_calls and roll_answers: which programs are on the database, and who of them hears.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct replica_row {
  std::string id;            ///< of one run of the program
  std::string host;          ///< the machine's name
  std::int64_t seen_at = 0;  ///< Unix time in ms, by the clock of that machine
};

struct roll_call_row {
  std::string id;
  std::string device;   ///< scoped; whose session and broker are asked about; empty: none
  std::int64_t at = 0;  ///< Unix time, ms
};

struct roll_answer_row {
  std::string replica;
  bool online = false;          ///< the device has a session, as that program knows
  std::int64_t broker_ms = -1;  ///< until its broker had answered; -1: not asked
  std::string broker_error;     ///< why it did not; empty: it did
};

/// All functions: database thread; errors: the connection's.
/// Shows that the program lives, and forgets those that have not for longer than that.
result<void> keep_replica(connection& c, const replica_row& r, std::int64_t forget_before);
result<void> remove_replica(connection& c, const std::string& id);
result<std::vector<replica_row>> list_replicas(connection& c);

/// Forgets older calls first. False: `most` are under way.
result<bool> insert_roll_call(connection& c, const roll_call_row& call, std::int64_t forget_before, std::int64_t most);
result<void> remove_roll_call(connection& c, const std::string& id);
/// Those that this program has not answered.
result<std::vector<roll_call_row>> list_open_roll_calls(connection& c, const std::string& replica);
/// Nothing where the call is over.
result<void> insert_roll_answer(connection& c, const std::string& call, const roll_answer_row& a);
result<std::vector<roll_answer_row>> list_roll_answers(connection& c, const std::string& call);

}  // namespace evp::sql
