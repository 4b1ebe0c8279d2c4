#include "backend/upload_watch.h"

namespace evp::backend {

io::task<result<std::shared_ptr<upload_watch>>> upload_watch::open(ledger& l, upload_watches& all, upload_filter f,
                                                                   std::optional<std::uint64_t> after,
                                                                   milliseconds quiet) {
  if (all.open_ >= upload_watches::max_watches)
    co_return fail(error(errc::rate_limited, std::to_string(upload_watches::max_watches) +
                                                 " streams of uploads are open already: close one, or try again later")
                       .after(seconds(10)));
  std::shared_ptr<upload_watch> w(new upload_watch(l, all, std::move(f), quiet));
  CO_TRY(const auto now, co_await l.sequence());
  const auto newest = std::uint64_t(now.newest);
  if (after && *after > newest)
    co_return fail(errc::invalid_argument, "Last-Event-ID",
                   "Last-Event-ID must be the id of an event of this backend: the newest is " + std::to_string(newest));
  w->position_ = after.value_or(newest);
  w->has_gap_ = w->position_ < std::uint64_t(now.forgotten);
  co_return w;
}

io::task<result<std::optional<upload_watch::step>>> upload_watch::next() {
  auto& changed = ledger_.changed();
  if (caught_up_) co_await io::sleep_for(gather_for);
  for (;;) {
    const auto seen = changed.count();
    const bool over = co_await io::is_cancelled();
    if (over || changed.closed()) co_return std::nullopt;
    CO_TRY(auto found, co_await ledger_.events(filter_, position_));
    position_ = found.position;
    step out{std::move(found.events), position_};
    caught_up_ = !found.more;
    if (!out.events.empty()) co_return out;
    if (found.more) continue;
    co_await changed.wait(seen, quiet_);
    if (changed.count() == seen) co_return out;
    co_await io::sleep_for(gather_for);
  }
}

}  // namespace evp::backend
