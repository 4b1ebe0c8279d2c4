// Blocking a storage, a module or a device, or rehearsing it, and what there is to tell about it then.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace evp::backend {

struct block_manner {
  bool drill = false;     ///< nothing is blocked; all the rest is done, and the audit records a drill
  bool replicas = false;  ///< tell in what time each backend has heard; drills always do
  bool vendor = false;    ///< of a service: pull its storage's lever too (services::end_grants)
};

/// What the storage's lever did, or would do.
struct lever_report {
  std::optional<storage::vendor_lever> lever;  ///< nothing: there is none
  bool pulled = false;
  std::optional<error> failure;  ///< why not, where it was to be; the block holds all the same
};

/// What is left when something is blocked, or would be.
struct block_report {
  live_grants grants;                    ///< that it holds; nothing new leaves once it is blocked
  std::vector<replica_answer> replicas;  ///< this one first; empty unless asked for
  lever_report vendor;                   ///< of a service
};

/// Names of `b` are scoped. Errors: not_found (no such service; no such module in /v1/modules), not_found at "device",
/// invalid_argument at "name" (no name of an instance), blocks::add's, roll_calls::call's.
io::task<result<block_report>> block_it(backend& all, block b, block_manner how = {}, origin by = origin());
/// Errors: not_found (neither what has the name nor a block of it), the database's.
io::task<result<void>> unblock_it(backend& all, block b, origin by = origin());

struct blocked_device_report {
  device_change change;
  block_report rest;
};
/// The same for a device. Errors: not_found, the database's, roll_calls::call's.
io::task<result<blocked_device_report>> block_device(backend& all, std::string id, block_manner how = {},
                                                     origin by = origin());

}  // namespace evp::backend
