// The path of grants through changes of provider, and the watch that lets a failing one fall back.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "backend/provider_changes.h"
#include "backend/unix_ms.h"
#include "base/crypto.h"
#include "base/names.h"

namespace evp::backend {

// SHA-256 spreads names that differ by a number evenly; std::hash promises nothing over versions and machines.
bool takes_part(std::string_view service_id, std::string_view device, int percent) {
  const auto hash = sha256(std::string(service_id).append("\n").append(device));
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < sizeof n; ++i) n = n << 8 | static_cast<unsigned char>(hash[i]);
  return std::int64_t(n % 100) < percent;
}

bool is_beyond(const sql::side_counts& lately, std::int64_t error_percent, std::int64_t minimum) {
  return lately.outcomes() >= minimum && lately.errors() * 100 > error_percent * lately.outcomes();
}

void grant_route::write_to(upload& row) const {
  row.asked_service = asked_service;
  row.change_id = change_id;
  row.asked = asked;
}

io::task<result<grant_route>> provider_changes::route(std::shared_ptr<live_service> asked, std::string device,
                                                      bool is_get, bool is_offline, object_namer name_of) {
  grant_route out;
  out.service = asked;
  out.asked.id = asked->view.id;
  const auto found = known_.find(asked->view.id);
  if (found == known_.end()) co_return out;
  const auto change = found->second;  // by value: it may be altered while the database is asked
  out.asked.change_revision = change.revision;
  if (!change.runs) co_return out;
  // A grant that is kept for later may never be used: that it expires says nothing of the storage.
  if (!is_get && !is_offline) out.change_id = change.id;
  if (!is_get && !takes_part(asked->view.id, device, change.percent)) co_return out;

  std::optional<std::string> name(local_name(change.target_name));
  std::string tenant(tenant_of(device));
  const auto target = co_await services_.find_anywhere(std::move(name), std::move(tenant));
  if (!target || (*target)->view.id != change.target_id)
    co_return fail(error(errc::unavailable, "the storage access service is being changed").after(seconds(1)));
  if (is_get) {
    sql::provider_change_row where;
    where.target_id = change.target_id;
    where.source_name = asked->view.name;
    const auto object = name_of(**target);
    if (!object) co_return out;
    std::function<result<bool>(sql::connection&)> look = [where, object = *object](sql::connection& c) {
      return sql::has_rerouted_object(c, where, object);
    };
    CO_TRY(const bool is_there, co_await db_.run<bool>(std::move(look)));
    if (!is_there) co_return out;
  }
  out.service = *target;
  out.asked_service = asked->view.name;
  co_return out;
}

void provider_changes::note_refused(const grant_route& r) {
  if (r.change_id.empty()) return;
  auto& n = noted_[r.change_id];
  ++(r.asked_service.empty() ? n.from : n.to);
}

io::task<result<void>> provider_changes::write_refusals() {
  if (noted_.empty()) co_return result<void>();
  const auto taken = std::exchange(noted_, {});
  std::function<result<void>(sql::connection&)> write = [taken, now = to_ms(clock_.now())](sql::connection& c) {
    for (const auto& [id, n] : taken) {
      if (n.from > 0) sql::count_refused(c, id, false, n.from, now);
      if (n.to > 0) sql::count_refused(c, id, true, n.to, now);
    }
    return result<void>();
  };
  const auto written = co_await db_.run<void>(std::move(write));
  if (written) co_return result<void>();
  for (const auto& [id, n] : taken) {
    noted_[id].from += n.from;
    noted_[id].to += n.to;
  }
  co_return fail(written.error());
}

io::task<result<bool>> provider_changes::fall_back(std::string source_id) {
  auto done = std::make_shared<std::optional<sql::provider_change_row>>();
  std::function<result<void>(sql::connection&)> judge = [&clock = clock_, source_id,
                                                         done](sql::connection& c) -> result<void> {
    done->reset();
    TRY(auto row, sql::find_provider_change(c, source_id));
    const auto now = to_ms(clock.now());
    sql::change_counts counts;
    const auto fails = [&]() -> result<bool> {
      if (!row || row->state != to_string(change_state::running)) return false;
      TRY(counts, sql::find_change_counts(c, row->id, now - row->window_ms));
      return is_beyond(counts.to_lately, row->error_percent, row->minimum);
    };
    TRY(const bool seems_so, fails());
    if (!seems_so) return {};
    TRY(row, sql::hold_provider_change(c, source_id));  // once, whichever backend sees it
    TRY(const bool is_so, fails());
    if (!is_so) return {};
    const auto &to = counts.to_lately, &from = counts.from_lately;
    row->state = to_string(change_state::fallen_back);
    row->reason = fmt::format("{} of the last {} uploads to {} failed, more than {} in a hundred; to {} {} of {}",
                              to.errors(), to.outcomes(), local_name(row->target_name), row->error_percent,
                              local_name(row->source_name), from.errors(), from.outcomes());
    row->updated_at = row->ended_at = now;
    CHECK(sql::put_provider_change(c, *row));
    c.note(done_now(clock, origin(), action::service_fall_back, kind::service, row->source_name,
                    fmt::format("to={} percent={} errors={}/{}", local_name(row->target_name), row->percent,
                                to.errors(), to.outcomes())));
    *done = row;
    return {};
  };
  CO_CHECK(co_await db_.run<void>(std::move(judge)));
  if (!*done) co_return false;
  ++fell_back_;
  spdlog::warn("storage access service {}: the change to {} falls back by itself: {}", (*done)->source_name,
               (*done)->target_name, (*done)->reason);
  CO_CHECK(co_await load());
  co_return true;
}

io::task<result<std::size_t>> provider_changes::watch_once() {
  CO_CHECK(co_await write_refusals());
  std::vector<std::string> running;
  for (const auto& [id, change] : known_)
    if (change.runs) running.push_back(id);
  std::size_t fell = 0;
  for (const auto& id : running) {
    CO_TRY(const bool fallen, co_await fall_back(id));
    fell += fallen;
  }
  co_return fell;
}

io::task<void> provider_changes::watch_forever() {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  auto& changed = ledger_.changed();
  for (bool failed = false;;) {
    const auto seen = changed.count();
    const bool over = co_await io::is_cancelled();
    if (over || changed.closed()) co_return;
    const auto done = co_await watch_once();
    if (!done && !failed) spdlog::error("changes of providers cannot be watched: {}", done.error().message());
    failed = !done;
    while (changed.count() == seen && noted_.empty() && !failed) {
      const bool stopped = co_await io::is_cancelled();
      if (stopped) co_return;
      co_await changed.wait(seen, look_every);
    }
    const bool slept = co_await io::sleep_for(failed ? look_every : gather_for);
    if (!slept) co_return;
  }
}

}  // namespace evp::backend
