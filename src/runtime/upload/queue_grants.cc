// The durable queue's memory of grants: what the storage has taken and the hub has yet to confirm, and grants for
// later, which are good after a restart without the hub.
#include "runtime/upload/queue.h"

namespace evp::runtime::upload {

/// After a crash only the report has to be made again.
void queue::take(note_sent& a) {
  const auto found = entries_.find(a.id);
  const auto known = sent_.find(a.id);
  if (found == entries_.end() || found->second.at != state::active) return;
  if (known != sent_.end() && known->second.what.grant_id == a.grant_id && known->second.what.status == a.result.status)
    return;
  if (details(a.id)->operation != journal::operation::put) return;
  journal::sent s{a.id, std::uint16_t(a.result.status), a.result.bytes, a.grant_id, a.result.sha256};
  record(s, true);
  pending_.sents.push_back(a.id);
  sent_.insert_or_assign(a.id, sent_file{std::move(s), false});
  let_kept_go(a.id);
}

/// What only a grant's first transfer can bring about is on disk before it begins.
void queue::take(start_transfer& a) {
  const auto noted = sent_.find(a.id);
  if (noted == sent_.end() || noted->second.durable || noted->second.what.grant_id != a.grant.grant_id)
    out_.push_back(std::move(a));
  else
    noted->second.held = std::move(a);
}

void queue::let_begin(operation_id id) {
  const auto noted = sent_.find(id);
  if (noted == sent_.end() || !noted->second.held) return;
  out_.push_back(*std::exchange(noted->second.held, std::nullopt));
}

/// Not synced: after a power cut another one is asked for.
void queue::take(note_grant& a) {
  const auto found = entries_.find(a.id);
  if (!seal_kept_ || found == entries_.end() || found->second.at != state::active) return;
  journal::grant_kept k;
  k.id = a.id;
  k.at_ms = wall_ms();
  k.lives_ms = a.grant.expires_in.value_or(milliseconds(0)).count();
  k.expect.assign(a.grant.expect.begin(), a.grant.expect.end());
  k.create_only = a.grant.create_only;
  k.grant_id = std::move(a.grant.grant_id);
  k.certificate_id = std::move(a.grant.certificate_id);
  k.sealed = seal_kept_(a.id, a.grant);
  record(k, false);
  sent_.erase(a.id);  // the hub has forgotten that one, or another would not have been asked for
  keep(std::move(k));
}

void queue::take(drop_grant& a) {
  const auto found = entries_.find(a.id);
  if (found == entries_.end() || found->second.at != state::active) return;
  journal::grant_kept none;
  none.id = a.id;
  record(none, false);
  sent_.erase(a.id);
  let_kept_go(a.id);
}

void queue::keep(journal::grant_kept k) {
  let_kept_go(k.id);
  kept_bytes_ += journal::encode(k).size();
  kept_.emplace(k.id, std::move(k));
}

void queue::let_kept_go(operation_id id) {
  const auto node = kept_.extract(id);
  if (!node.empty()) kept_bytes_ -= journal::encode(node.mapped()).size();
}

void queue::recover_kept(journal::grant_kept k) {
  sent_.erase(k.id);
  if (k.sealed.empty()) return let_kept_go(k.id);
  keep(std::move(k));
}

/// The operation's grant of an earlier run, if it still lives.
std::optional<grant> queue::take_kept(operation_id id) {
  const auto found = kept_.find(id);
  if (found == kept_.end()) return std::nullopt;
  const auto& k = found->second;
  const auto left = milliseconds(k.lives_ms) - gone_since(k.at_ms);
  auto opened = open_kept_ ? open_kept_(id, k.sealed) : fail(errc::unsupported, "nothing opens it");
  if (!opened || left <= milliseconds(0)) {
    let_kept_go(id);
    return std::nullopt;
  }
  grant g = std::move(*opened);
  g.offline = true;
  g.expires_in = left;
  g.create_only = k.create_only;
  g.expect.assign(k.expect.begin(), k.expect.end());
  g.grant_id = k.grant_id;
  g.certificate_id = k.certificate_id;
  return g;
}

/// Those whose grant is there need no hub. Their number is bounded by that of the grants that were kept.
void queue::activate_kept() {
  std::vector<operation_id> ids;
  for (const auto& [id, k] : kept_)
    if (is_waiting(id) && may_begin(entries_.at(id).priority)) ids.push_back(id);
  for (const auto id : ids)
    if (is_waiting(id)) activate(id);
}

/// Room for those with a grant for later, beside the others.
bool queue::is_full(const lane& l) const {
  return l.active >= limits_.active_per_storage + (engine_.gives_offline(l.storage) ? offline_grants_ : 0U);
}

}  // namespace evp::runtime::upload
