// Blocks: storages, modules and module instances that are granted nothing until somebody lifts the block (ADR 0036).
#pragma once

#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/audit.h"
#include "backend/ledger.h"
#include "io/clock.h"
#include "sql/blocks_store.h"

namespace evp::backend {

enum class block_kind {
  service,      ///< a storage access service
  module_file,  ///< each instance that a deployment of ours makes of this module of /v1/modules
  instance,     ///< module instances by the name that they go by on devices, whoever has put them there
};
/// "service", "module", "instance".
std::string_view to_string(block_kind k) noexcept;

/// A block belongs to names: it stays when what has the name is removed, and holds for what gets that name later.
struct block {
  block_kind kind = block_kind::service;
  std::string name;    ///< scoped (base/names.h)
  std::string device;  ///< scoped; empty: on all devices. Empty for services
  auto operator<=>(const block&) const = default;
};

struct block_view {
  block what;
  timestamp since;
  std::string actor;  ///< who, as in the audit
};

/// Whether a block stands against the grant, in the transaction that writes its row, after sql::may_sign(). Errors:
/// permission_denied, naming what is blocked; the database's. Database thread.
result<void> check_blocks(sql::connection& c, const sql::upload_row& u);

/// All blocks, in memory and in the database. Confined to its executor. Each change is recorded in the audit, in its
/// transaction, as done by `by`.
class blocks {
 public:
  static constexpr std::int64_t max_blocks = 1000;

  blocks(sql::database& db, const io::clock& clock) : db_(db), clock_(clock) {}
  /// Reads all. Before anything else, and again when another backend has changed them. Errors: the database's.
  io::task<result<void>> load();

  /// When this returns no grant that is against it is written any more, by whichever backend on the database: it has
  /// waited for those that were being written. Idempotent. Errors: too_large (max_blocks), the database's.
  io::task<result<block_view>> add(block b, origin by = origin());
  /// True when there was one. Errors: the database's.
  io::task<result<bool>> remove(block b, origin by = origin());
  bool has(const block& b) const { return all_.contains(b); }
  /// The tenant's, by kind and name.
  std::vector<block_view> list(std::string_view tenant = {}) const;

  /// Before anything is signed: what memory knows. Of modules it knows nothing; check_blocks() does. Names are scoped
  /// but for `instance`, which is as the device says. Errors: permission_denied.
  result<void> check(const std::string& service, const std::string& device, const std::string& instance) const;
  /// The grants of what would be blocked that are not dead yet. Of a module: of the instances that deployments make of
  /// it now. Errors: the database's.
  io::task<result<live_grants>> live(block b);

 private:
  io::task<result<live_grants>> live_of_module(block b, std::vector<sql::instance_grants_row> rows);

  sql::database& db_;
  const io::clock& clock_;
  std::map<block, block_view> all_;
};

}  // namespace evp::backend
