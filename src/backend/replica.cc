#include "backend/replica.h"

#include <spdlog/spdlog.h>

#include "base/crypto.h"
#include "sql/events_store.h"

namespace evp::backend {

/// What one look finds.
struct replica::seen {
  sql::change_list changes;
  std::int64_t newest_event = 0;
  sql::lease_row lease;
  bool leads = false;
};

replica::replica(replica_context context) : context_(std::move(context)), id_(random_id(16)) {
  context_.db.set_on_announced([this] { announced_.notify(); });
}

replica::~replica() { context_.db.set_on_announced(nullptr); }

bool replica::leads() const {
  if (!context_.db.is_shared()) return true;
  return leads_since_ && context_.clock.steady() - *leads_since_ < leads_for;
}

io::task<result<void>> replica::begin() {
  connections_ = context_.db.connections();
  std::function<result<std::int64_t>(sql::connection&)> read = sql::find_newest_change;
  CO_TRY(position_, co_await context_.db.run<std::int64_t>(std::move(read)));
  co_return result<void>();
}

io::task<void> replica::run_forever() {
  if (!context_.db.is_shared()) co_return;
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool over = false, failed = false; !over;) {
    const auto count = announced_.count();
    const auto done = co_await look();
    if (!done && !failed) spdlog::error("the database cannot be asked for changes: {}", done.error().message());
    if (done && failed) spdlog::info("the database answers again");
    failed = !done;
    over = co_await io::is_cancelled();
    if (!over) co_await announced_.wait(count, look_every);
    over = co_await io::is_cancelled();
  }
}

io::task<void> replica::stop() {
  if (!context_.db.is_shared() || !leads_since_) co_return;
  leads_since_.reset();
  std::function<result<bool>(sql::connection&)> give = [mine = lease_](sql::connection& c) {
    return sql::take_lease(c, mine, "");
  };
  (void)co_await context_.db.run<bool>(std::move(give));
}

io::task<result<void>> replica::look() {
  const auto now = context_.clock.steady();
  const bool was_leading = leads();
  const bool is_dead = lease_seen_at_ && now - *lease_seen_at_ >= dead_after;
  std::function<result<seen>(sql::connection&)> read = [after = position_, me = id_, last = lease_,
                                                        is_dead](sql::connection& c) -> result<seen> {
    seen out;
    TRY(out.lease, sql::find_lease(c));
    if (out.lease.holder == me || out.lease.holder.empty() || (is_dead && out.lease == last)) {
      TRY(out.leads, sql::take_lease(c, out.lease, me));
      if (out.leads) out.lease = {me, out.lease.beat + 1};
    }
    TRY(const auto events, sql::find_event_sequence(c));
    out.newest_event = events.newest;
    TRY(out.changes, sql::list_changes(c, after));
    return out;
  };
  CO_TRY(auto found, co_await context_.db.run<seen>(std::move(read)));
  if (!lease_seen_at_ || found.lease != lease_) lease_seen_at_ = context_.clock.steady();
  lease_ = found.lease;
  leads_since_ = found.leads ? std::optional(now) : std::nullopt;
  if (!was_leading && leads()) context_.on_leading();
  if (std::exchange(newest_event_, found.newest_event) != found.newest_event) context_.on_uploads_changed();

  const auto connections = context_.db.connections();
  const bool everything = found.changes.has_gap || connections != connections_;
  auto outcome = co_await take_over(std::move(found.changes.changes), everything);
  if (outcome) connections_ = connections;
  co_return outcome;
}

io::task<result<void>> replica::take_over(std::vector<sql::change_row> changes, bool everything) {
  if (everything) {
    CO_CHECK(co_await begin());
    auto done = co_await reload_();
    if (!done) connections_ = 0;  // everything again the next time
    co_return done;
  }
  if (changes.empty()) co_return result<void>();
  const auto last = changes.back().number;
  CO_CHECK(co_await apply_(std::move(changes)));
  position_ = last;
  co_return result<void>();
}

}  // namespace evp::backend
