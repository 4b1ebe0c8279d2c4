#include "backend/revocations.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "backend/unix_ms.h"
#include "base/encoding.h"
#include "sql/changes_store.h"

namespace evp::backend {
namespace {

constexpr std::size_t told_at_once = 1'000;  // about a message
constexpr std::int64_t read_at_once = 10'000;
constexpr milliseconds forget_every = std::chrono::hours(1);

}  // namespace

template <class Change>
void revocations::change(const std::string& id, Change what, std::vector<std::string>& revoked,
                         std::vector<std::string>& restored) {
  const auto [at, is_new] = all_.try_emplace(id);
  what(at->second);
  const bool stays = at->second.is_own || at->second.lists > 0;
  if (is_new && stays) revoked.push_back(id);
  if (!is_new && !stays) restored.push_back(id);
  if (!stays) all_.erase(at);
}

result<bool> revocations::write(sql::connection& c, const sql::revoked_certificate_row& r) {
  TRY(const bool fresh, sql::insert_revoked_certificate(c, r, std::int64_t(max_revoked_certificates)));
  if (fresh) sql::note_change(c, "revocation", r.id);
  return fresh;
}

io::task<result<std::set<std::string>>> revocations::read_own() {
  using rows = std::vector<sql::revoked_certificate_row>;
  std::set<std::string> out;
  std::string after;
  for (bool more = true; more;) {
    std::function<result<rows>(sql::connection&)> read =
        [after, now = to_ms(clock_.now() - kept_after_expiry)](sql::connection& c) {
          return sql::list_revoked_certificates(c, after, now, read_at_once);
        };
    CO_TRY(const auto some, co_await db_.run<rows>(std::move(read)));
    more = std::int64_t(some.size()) == read_at_once;
    if (more) after = some.back().id;
    for (const auto& r : some) {
      auto id = from_hex(r.id);
      if (id) out.insert(out.end(), std::move(*id));
    }
  }
  co_return out;
}

io::task<result<void>> revocations::load() {
  CO_TRY(const auto own, co_await read_own());
  for (const auto& id : own) all_[id].is_own = true;
  co_return result<void>();
}

io::task<result<std::optional<error>>> revocations::refresh(std::set<std::string> ids) {
  std::function<result<std::set<std::string>>(sql::connection&)> read =
      [ids](sql::connection& c) -> result<std::set<std::string>> {
    std::set<std::string> out;
    for (const auto& id : ids) {
      TRY(const auto found, sql::find_revoked_certificate(c, id));
      if (found) out.insert(id);
    }
    return out;
  };
  CO_TRY(const auto found, co_await db_.run<std::set<std::string>>(std::move(read)));
  std::vector<std::string> revoked, restored;
  for (const auto& text : found)
    if (const auto id = from_hex(text))
      change(
          *id, [](entry& e) { e.is_own = true; }, revoked, restored);
  auto failure = co_await tell(std::move(revoked), std::move(restored));
  co_return failure;
}

io::task<result<void>> revocations::refresh_all() {
  std::set<std::string> before;
  for (const auto& [id, e] : all_)
    if (e.is_own) before.insert(before.end(), id);
  CO_TRY(const auto own, co_await read_own());
  std::vector<std::string> revoked, restored;
  for (const auto& id : own)
    change(
        id, [](entry& e) { e.is_own = true; }, revoked, restored);
  // What was added here while the database was read stays.
  for (const auto& id : before)
    if (!own.contains(id))
      change(
          id, [](entry& e) { e.is_own = false; }, revoked, restored);
  (void)co_await tell(std::move(revoked), std::move(restored));
  co_return result<void>();
}

io::task<void> revocations::forget_forever() {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool on = true; on;) {
    std::function<result<void>(sql::connection&)> forget =
        [before = to_ms(clock_.now() - kept_after_expiry)](sql::connection& c) {
          return sql::forget_revoked_certificates(c, before);
        };
    auto done = co_await db_.run<void>(std::move(forget));
    on = co_await io::sleep_for(forget_every);
    if (on && done) done = co_await refresh_all();
    if (!done) spdlog::error("revoked certificates that have expired cannot be forgotten: {}", done.error().message());
  }
}

io::task<result<void>> revocations::set_list(std::string name, std::set<std::string> ids) {
  auto& had = lists_[name];
  std::vector<std::string> fresh, gone, revoked, restored;
  std::set_difference(ids.begin(), ids.end(), had.begin(), had.end(), std::back_inserter(fresh));
  std::set_difference(had.begin(), had.end(), ids.begin(), ids.end(), std::back_inserter(gone));
  if (all_.size() + fresh.size() > max_revoked_certificates)
    co_return fail(errc::too_large,
                   "more revoked certificates than the " + std::to_string(max_revoked_certificates) + " that are kept");
  for (const auto& id : fresh)
    change(
        id, [](entry& e) { ++e.lists; }, revoked, restored);
  for (const auto& id : gone)
    change(
        id, [](entry& e) { --e.lists; }, revoked, restored);
  had = std::move(ids);
  (void)co_await tell(std::move(revoked), std::move(restored));
  co_return result<void>();
}

// One that does not answer is asked once: it is told all when it is found anew.
io::task<std::optional<error>> revocations::tell(std::vector<std::string> revoked, std::vector<std::string> restored) {
  if (!gateway_) co_return std::nullopt;
  const auto take = [](std::vector<std::string>& from) {
    const auto n = std::ptrdiff_t(std::min(from.size(), told_at_once));
    std::vector<std::string> out(std::make_move_iterator(from.end() - n), std::make_move_iterator(from.end()));
    from.erase(from.end() - n, from.end());
    return out;
  };
  while (!revoked.empty() || !restored.empty()) {
    auto off = take(revoked), on = take(restored);
    const auto told = co_await gateway_->revoke(std::move(off), std::move(on));
    if (told) continue;
    spdlog::warn("revoked certificates: the broker could not be told: {}", told.error().message());
    co_return told.error();
  }
  co_return std::nullopt;
}

std::vector<std::string> revocations::all(std::string_view after, std::size_t limit) const {
  std::vector<std::string> out;
  for (auto at = all_.upper_bound(after); at != all_.end() && out.size() < limit; ++at) out.push_back(at->first);
  return out;
}

}  // namespace evp::backend
