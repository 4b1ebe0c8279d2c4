// The engine's grants for later: who asks for one and when, what a refusal means, and when one is let go.
#include <algorithm>

#include "runtime/upload/engine.h"

namespace evp::runtime::upload {

/// For those that wait beyond the ones that have been asked for anyway, the oldest first.
void engine::ask_offline_ahead() {
  if (!connected_ || limits_.offline_grants == 0) return;
  for (auto next = waiting_.begin(); next != waiting_.end() && offline_ < limits_.offline_grants;) {
    const auto op = operations_.find(*next++);  // it leaves the set
    if (may_ask_offline(op->second)) ask(op, true);
  }
}

bool engine::may_ask_offline(const operation& o) const {
  if (offline_ >= limits_.offline_grants || o.no_offline) return false;
  if (o.order.operation != wire::blob_operation::put) return false;
  const auto found = storages_.find(o.order.storage);
  if (found == storages_.end()) return true;
  const auto& s = found->second;
  if (s.no_offline_before && now_ < *s.no_offline_before) return false;
  if (s.gives_offline) return true;
  // Not known: one operation finds out, the others wait for what it learns.
  const auto probe = operations_.find(s.offline_probe);
  return probe == operations_.end() || !probe->second.asks_offline;
}

bool engine::gives_offline(const std::string& storage) const {
  const auto found = storages_.find(storage);
  return found != storages_.end() && found->second.gives_offline;
}

/// A grant has come. It is for later only if that was asked for, and if it can be kept: parts need the hub for their
/// signatures, and what never dies is not kept.
void engine::note_offline_answer(operation& o) {
  o.grant.offline = o.grant.offline && o.asks_offline && !o.grant.plan && o.grant.expires_in;
  if (!o.asks_offline) return;
  auto& s = storages_[o.order.storage];
  s.gives_offline = o.grant.offline;
  if (!o.grant.offline) s.no_offline_before = now_ + limits_.offline_pause;  // a hub that doesn't know of them
}

/// It means nothing for the file: an ordinary grant is asked for when its turn comes.
void engine::refuse_offline(operation_map::iterator op, const error& why) {
  auto& s = storages_[op->second.order.storage];
  if (why.code() == errc::unsupported) {
    s.gives_offline = false;
    s.no_offline_before = now_ + limits_.offline_pause;
  } else if (is_temporary(why.code())) {
    s.no_offline_before = now_ + std::max(limits_.offline_retry, why.retry_after().value_or(milliseconds(0)));
  } else {
    op->second.no_offline = true;
  }
  move(op, stage::waiting);
}

/// The grant of an earlier run, which may have used it: an object that exists may be its own.
void engine::use_kept(operation_map::iterator op) {
  auto& o = op->second;
  o.grant = std::move(*o.order.kept);
  o.order.kept.reset();
  o.grant.offline = true;
  if (o.grant.expires_in) o.grant_expires = now_ + *o.grant.expires_in;
  o.may_be_there = o.of_earlier_run = true;
  move(op, stage::ready);
}

void engine::forget_offline(operation_map::iterator op) {
  if (!op->second.grant.offline) return;
  out_.push_back(drop_grant{op->first});
  op->second.grant = {};
}

bool engine::lacks_certificate(const operation& o) const {
  return !o.grant.certificate_id.empty() && !certificates_.contains(o.grant.certificate_id);
}

}  // namespace evp::runtime::upload
