// The durable queue's writes: group commit, what a finished or failed write means, and when the journal is written
// anew.
#include <algorithm>

#include "runtime/upload/queue.h"

namespace evp::runtime::upload {

void queue::record(const journal::record& r, bool sync) {
  pending_.records += journal::encode(r);
  pending_.sync |= sync;
}

void queue::flush() {
  if (writing_ || (no_write_before_ && now_.steady < *no_write_before_)) return;
  const bool wanted = !pending_.records.empty() || failed_writes_ > 0;
  if (!wanted) return;
  if (journal_bytes_ > limits_.rewrite_bytes && journal_bytes_ > 2 * (packed_bytes_ + kept_bytes_)) replace_ = true;
  write w;
  w.replace = std::exchange(replace_, false);
  w.records = w.replace ? everything() : std::exchange(pending_.records, {});
  w.sync = pending_.sync || w.replace;
  journal_bytes_ = w.replace ? w.records.size() : journal_bytes_ + w.records.size();
  pending_.sync = w.sync;
  pending_.records.clear();
  in_flight_ = std::exchange(pending_, {});
  writing_ = true;
  out_.push_back(std::move(w));
}

/// What lives, as the whole content of a journal.
std::string queue::everything() const {
  std::string all = journal::encode(journal::next_id{next_id_});
  all.reserve(packed_bytes_ + kept_bytes_ + 64);
  for (const auto& [id, x] : entries_)
    if (x.at != state::preparing) all += packed(x);
  for (const auto& [id, s] : sent_) all += journal::encode(s.what);
  for (const auto& [id, k] : kept_) all += journal::encode(k);
  for (const auto& [id, p] : plans_) {
    all += journal::encode(p.what);
    for (const auto& part : p.parts) all += journal::encode(part);
  }
  for (const auto& [id, e] : ended_) all += journal::encode(e);
  return all;
}

void queue::on(written e) {
  if (!writing_) return;
  writing_ = false;
  auto done = std::exchange(in_flight_, {});
  if (e.failure) return write_failed(std::move(done), *e.failure);
  failed_writes_ = 0;
  no_write_before_.reset();
  for (const auto id : done.accepts) {
    auto& x = entries_.at(id);
    ++counters_.accepted;
    out_.push_back(answer{{x.life, x.ticket}, id});
    enqueue(id, x);
  }
  if (!done.sync) {
    pending_.drops.insert(pending_.drops.end(), done.drops.begin(), done.drops.end());
    return;
  }
  for (const auto id : done.sents) {
    const auto s = sent_.find(id);
    const bool replaced = std::find(pending_.sents.begin(), pending_.sents.end(), id) != pending_.sents.end();
    if (s == sent_.end() || replaced) continue;
    s->second.durable = true;
    let_begin(id);
  }
  for (const auto id : done.drops) out_.push_back(drop_spooled{id});
  for (const auto id : done.ends) {
    if (entries_.at(id).spooled) out_.push_back(drop_spooled{id});
    ended_now(id);
  }
}

void queue::write_failed(batch lost, const error& why) {
  ++counters_.failed_writes;
  replace_ = true;
  // What was not promised yet is refused now; what had been decided waits for a write that succeeds.
  lost.accepts.insert(lost.accepts.end(), pending_.accepts.begin(), pending_.accepts.end());
  pending_.accepts.clear();
  pending_.records.clear();  // the next write holds everything
  for (auto [from, to] : {std::pair(&lost.ends, &pending_.ends), std::pair(&lost.sents, &pending_.sents),
                          std::pair(&lost.drops, &pending_.drops)})
    to->insert(to->begin(), from->begin(), from->end());
  for (const auto id : lost.accepts) give_up_accepting(id, why);
  for (const auto id : lost.sents) let_begin(id);  // a full disk keeps no file from its storage
  const auto doublings = std::min(failed_writes_++, 16U);
  no_write_before_ =
      now_.steady + std::min(limits_.write_retry_max, limits_.write_retry_first * (std::int64_t{1} << doublings));
}

// ---- packed entries ----

std::string_view queue::packed(const entry& x) {
  std::uint32_t length = 0;  // of the body: the record's head says it
  for (int i = 0; i < 4; ++i) length |= std::uint32_t(std::uint8_t(x.packed[std::size_t(1 + i)])) << (8 * i);
  return {x.packed.get(), 5 + std::size_t(length)};
}

void queue::repack(entry& x, const journal::accepted& what) {
  const auto bytes = journal::encode(what);
  packed_bytes_ += bytes.size() - packed(x).size();
  x.packed = std::make_unique_for_overwrite<char[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), x.packed.get());
}

}  // namespace evp::runtime::upload
