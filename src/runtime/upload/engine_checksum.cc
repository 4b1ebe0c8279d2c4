// The engine's part in storages that want a file's SHA-256 before they grant: hash once, then ask again.
#include "runtime/upload/engine.h"

namespace evp::runtime::upload {

/// It is an upload whose SHA-256 nobody has computed yet.
bool engine::lacks_checksum(operation_map::iterator op) const {
  return op->second.order.operation == wire::blob_operation::put && !op->second.order.has_checksum;
}

void engine::hash(operation_map::iterator op) {
  storages_[op->second.order.storage].wants_checksum = true;
  move(op, stage::hashing);
  out_.push_back(hash_file{op->first});
}

void engine::on(file_hashed e) {
  const auto op = operations_.find(e.id);
  if (op == operations_.end() || op->second.at != stage::hashing) return;
  if (e.result.failure) return fail_transfer(op, e.result);
  op->second.order.has_checksum = true;  // a hub that refuses again is not asked a third time
  move(op, stage::waiting);
}

}  // namespace evp::runtime::upload
