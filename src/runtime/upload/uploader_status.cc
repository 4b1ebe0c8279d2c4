// What the uploader shows of its work: progress to the modules that asked, and the runtime's status.
#include <algorithm>

#include "runtime/log_text.h"
#include "runtime/upload/uploader.h"

namespace evp::runtime::upload {

/// Keeps how far the transfer is, and tells the process that asked for it.
void uploader::watch(http::request& r, const journal::accepted& what, unsigned part, std::uint64_t base) {
  r.on_progress = [this, id = what.id, size = what.size, part, base](std::uint64_t moved) {
    progress_.moved(id, part, moved, base);
    const auto found = lives_.find(queue_.asker_of(id).life);
    const auto who = found == lives_.end() || stopping_ ? nullptr : found->second.who.lock();
    if (!who) return;
    const auto all = queue_.sent_in_parts(id) + progress_.of(id);
    who->progressed(id, size > 0 ? std::min(all, size) : all, size);
  };
}

void uploader::fill(wire::runtime_status& s) const {
  s.files = queue_.live();
  s.bytes = queue_.live_bytes();
  s.spooled = queue_.spooled_bytes();
  s.files_max = options_.queue.files;
  s.bytes_max = options_.queue.bytes;
  s.spooled_max = options_.queue.spool_bytes;
  s.moved = progress_.total();
  const auto& c = queue_.counters();
  s.since_start = {c.accepted, c.succeeded, c.failed, c.refused, c.dropped, c.quarantined, c.lost_outcomes};
  for (const auto& t : progress_.all()) {
    const auto what = queue_.details(t.id);
    if (!what) continue;
    const bool is_upload = what->operation == journal::operation::put;
    const auto moved = queue_.sent_in_parts(t.id) + t.moved;
    s.transfers.push_back({t.id, what->instance, log_text(what->remote_name), what->storage, is_upload,
                           is_upload ? std::min(moved, what->size) : moved, what->size,
                           std::chrono::duration_cast<milliseconds>(clock_.steady() - t.since)});
  }
  const auto paused = queue_.open_breakers();
  for (auto& x : queue_.storages())
    s.storages.push_back(
        {x.storage, x.waiting, x.active, std::find(paused.begin(), paused.end(), x.storage) != paused.end()});
  s.failures.assign(failures_.begin(), failures_.end());
}

}  // namespace evp::runtime::upload
