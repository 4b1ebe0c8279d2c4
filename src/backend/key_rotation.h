// A new master key while the backend runs.
#pragma once

#include "backend/sealing.h"
#include "base/audit_chain.h"
#include "sql/sealed_store.h"

namespace evp::backend {

/// Puts the key first that the database is under: a change of it may have been broken off. Errors: data_corrupt (it is
/// none of those given), the database's.
io::task<result<void>> use_key_in_force(sql::database& db, sealer& seals);

/// What a sealed text's context is, from where it lies.
std::string seal_context(const sql::sealed_place& where);

struct rotated_key {
  std::string id;               ///< of the key in force now: sealer::id
  std::uint64_t rewrapped = 0;  ///< secrets
};

/// Puts a new master key in force: the first one that the source gives by now; where that is the old one still and the
/// source is the backend's own, one that is made for it. Wraps all data keys anew in one transaction, then forgets the
/// old key. Killed at any moment, the backend starts again with what the source has by then. With several backends on
/// the database it is called on each of them, after the source of each has the new key. Errors: the source's;
/// failed_precondition (the source lacks the new key: says what to do), data_corrupt (something does not open), the
/// database's.
/// `note`: what the audit is to have of it, in the transaction that wraps; one without an action: nothing.
io::task<result<rotated_key>> rotate_master_key(sql::database& db, sealer& seals, const master_key_source& source,
                                                audit_record note = {});

}  // namespace evp::backend
