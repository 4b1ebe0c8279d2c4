#include "backend/audit.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <charconv>

#include "backend/audit_pages.h"
#include "backend/unix_ms.h"
#include "base/encoding.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr milliseconds try_again{5'000};             // after a failure of the database
constexpr milliseconds truncate_pause{50};           // between batches: others want the database too
constexpr milliseconds clocks_differ_by{3'600'000};  // numbers and times may be out of order by so much

/// Text that can stand in JSON, of bounded length.
std::string as_text(std::string_view s) {
  std::string out = is_utf8(s) && !has_control_characters(s) ? std::string(s) : percent_encode(s);
  if (out.size() <= audit::max_text_bytes) return out;
  out.resize(audit::max_text_bytes);
  while (!is_utf8(out)) out.pop_back();  // cut within a character
  return out;
}

std::string key_of(const audit_record& r) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", r.actor, r.action, r.object_kind, r.object_name, r.peer, r.outcome);
}

}  // namespace

origin of_device(std::string_view id) { return {std::string(audit_actor::device) + std::string(id), ""}; }

std::string audit_name(std::string_view tenant, const std::string& name) {
  return scoped_name(tenant, name).value_or(name);
}

audit_record done_now(const io::clock& clock, const origin& by, std::string_view action, std::string_view kind,
                      std::string_view name, std::string_view detail) {
  audit_record r;
  r.at = to_ms(clock.now());
  r.actor = as_text(by.actor);
  r.action = action;
  r.object_kind = kind;
  r.object_name = as_text(name);
  r.peer = as_text(by.peer);
  r.outcome = "ok";
  r.detail = as_text(detail);
  return r;
}

void audit::refused(const origin& by, std::string_view action, std::string_view kind, std::string_view name,
                    errc code) {
  ++counters_.refusals;
  auto record = done_now(clock_, by, action, kind, name);
  record.outcome = to_string(code);
  auto key = key_of(record);
  if (gathered_.size() >= limits_.max_gathered && !gathered_.contains(key)) {
    record.actor = record.object_name = audit_actor::others;
    record.peer.clear();
    key = key_of(record);
  }
  const auto now = clock_.now();
  auto& g = gathered_[key];
  if (g.unwritten++ == 0) {
    g.record = std::move(record);
    g.first = now;
  }
  g.last = now;
  if (!g.open_until) news_.notify();
}

io::task<result<void>> audit::write(bool all) {
  const auto now = clock_.steady();
  auto records = std::make_shared<std::vector<audit_record>>();
  std::map<std::string, gathered> taken;
  for (auto at = gathered_.begin(); at != gathered_.end();) {
    auto& g = at->second;
    const bool over = !g.open_until || now >= *g.open_until;
    if (g.unwritten == 0 && over) {
      at = gathered_.erase(at);
      continue;
    }
    if (g.unwritten > 0 && (all || over)) {
      auto r = g.record;
      r.at = to_ms(g.last);
      if (g.unwritten > 1)
        r.detail =
            fmt::format("count={} first={} last={}", g.unwritten, format_rfc3339(g.first), format_rfc3339(g.last));
      records->push_back(std::move(r));
      taken.emplace(at->first, g);
      g.unwritten = 0;
      g.open_until = now + limits_.gather_for;
    }
    ++at;
  }
  if (records->empty()) co_return result<void>();
  std::function<result<void>(sql::connection&)> note = [records](sql::connection& c) -> result<void> {
    for (const auto& r : *records) c.note(r);
    return {};
  };
  auto outcome = co_await db_.run<void>(std::move(note));
  if (outcome) {
    counters_.records += records->size();
    co_return outcome;
  }
  for (auto& [key, before] : taken) {
    auto& g = gathered_[key];
    before.unwritten += g.unwritten;  // some may have come meanwhile
    before.last = std::max(before.last, g.last);
    g = std::move(before);
  }
  co_return outcome;
}

io::task<result<void>> audit::write_due() { return write(false); }
io::task<result<void>> audit::flush() { return write(true); }

io::task<void> audit::write_forever() {
  for (bool over = false; !over;) {
    const auto seen = news_.count();
    const auto written = co_await write(false);
    over = co_await io::is_cancelled();  // while the database worked: a wait would not end by it any more
    if (over) break;
    milliseconds wait = limits_.gather_for;
    if (!written) {
      spdlog::error("refusals cannot be written to the audit: {}", written.error().message());
      co_await io::sleep_for(try_again);
    } else {
      const auto now = clock_.steady();
      for (const auto& [key, g] : gathered_)
        if (g.open_until) wait = std::min(wait, std::chrono::ceil<milliseconds>(*g.open_until - now));
      co_await news_.wait(seen, std::max(wait, milliseconds(1)));
    }
    over = co_await io::is_cancelled();
  }
}

io::task<result<std::size_t>> audit::truncate(timestamp before) {
  auto note = done_now(clock_, origin(), action::audit_truncate, kind::audit, "");
  std::function<result<std::int64_t>(sql::connection&)> drop = [before,
                                                                note](sql::connection& c) -> result<std::int64_t> {
    TRY(const auto dropped, sql::truncate_audit(c, to_ms(before), std::int64_t(max_dropped)));
    if (dropped == 0) return 0;
    TRY(const auto ends, sql::find_audit_ends(c));
    auto r = note;
    r.object_name = fmt::format("{}-{}", ends.dropped_number - dropped + 1, ends.dropped_number);
    c.note(std::move(r));
    return dropped;
  };
  CO_TRY(const auto dropped, co_await db_.run<std::int64_t>(std::move(drop)));
  co_return std::size_t(dropped);
}

io::task<void> audit::truncate_forever(milliseconds retention) {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool on = true; on;) {
    const auto dropped = co_await truncate(clock_.now() - retention);
    if (!dropped) spdlog::error("old records of the audit cannot be dropped: {}", dropped.error().message());
    const bool more = dropped && *dropped == max_dropped;
    on = co_await io::sleep_for(more ? truncate_pause : limits_.truncate_every);
  }
}

io::task<result<page<sql::audit_row>>> read_audit_page(sql::database& db, audit_filter f, page_request r,
                                                       audit_rows find) {
  if (r.limit < 1 || r.limit > max_page)
    co_return fail(errc::invalid_argument, "limit", "limit must be 1 to " + std::to_string(max_page));
  sql::audit_query q;
  const auto& text = r.cursor;
  if (!text.empty()) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), q.before);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() || q.before < 1)
      co_return fail(errc::invalid_argument, "cursor", "cursor must be the one of the page before");
  }
  if (f.since) q.since = to_ms(*f.since);
  if (f.until) q.until = to_ms(*f.until);
  q.actor = std::move(f.actor);
  q.object = std::move(f.object);
  q.limit = std::int64_t(r.limit) + 1;
  using rows = page<sql::audit_row>;
  std::function<result<rows>(sql::connection&)> read = [q, limit = r.limit,
                                                        find = std::move(find)](sql::connection& c) -> result<rows> {
    auto search = q;
    TRY(const auto ends, sql::find_audit_ends(c));
    search.before = std::min(search.before, ends.number + 1);
    search.after = std::max(ends.dropped_number, search.before - 1 - audit::max_looked_at);
    rows out;
    TRY(out.items, find(c, search));
    if (out.items.size() > limit) {
      out.items.pop_back();
      out.next_cursor = std::to_string(out.items.back().record.number);
      return out;
    }
    if (search.after <= ends.dropped_number) return out;
    TRY(const auto oldest, sql::audit_time(c, search.after + 1));
    const bool older_than_wanted = q.since && oldest && *oldest < *q.since - clocks_differ_by.count();
    if (!older_than_wanted) out.next_cursor = std::to_string(search.after + 1);
    return out;
  };
  auto outcome = co_await db.run<rows>(std::move(read));
  co_return outcome;
}

io::task<result<page<sql::audit_row>>> audit::list(audit_filter f, page_request r) {
  audit_rows find = sql::list_audit;
  auto found = co_await read_audit_page(db_, std::move(f), std::move(r), std::move(find));
  co_return found;
}

io::task<result<std::vector<sql::audit_row>>> audit::read_after(std::int64_t number) {
  sql::audit_query q;
  q.after = number;
  q.oldest_first = true;
  q.limit = std::int64_t(max_piece);
  std::function<result<std::vector<sql::audit_row>>(sql::connection&)> read = [q](sql::connection& c) {
    return sql::list_audit(c, q);
  };
  auto outcome = co_await db_.run<std::vector<sql::audit_row>>(std::move(read));
  co_return outcome;
}

io::task<result<sql::audit_ends>> audit::ends() {
  std::function<result<sql::audit_ends>(sql::connection&)> read = sql::find_audit_ends;
  auto outcome = co_await db_.run<sql::audit_ends>(std::move(read));
  co_return outcome;
}

audit::counters audit::count() const {
  auto out = counters_;
  out.gathered = gathered_.size();
  return out;
}

}  // namespace evp::backend
