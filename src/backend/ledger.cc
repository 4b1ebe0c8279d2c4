#include "backend/ledger.h"

#include <algorithm>

#include "backend/blocks.h"
#include "backend/devices.h"
#include "backend/live_grants.h"
#include "backend/quotas.h"
#include "backend/row_sizes.h"
#include "backend/unix_ms.h"
#include "base/crypto.h"
#include "base/names.h"
#include "sql/hooks_store.h"
#include "sql/provider_changes_store.h"

namespace evp::backend {
namespace {

constexpr std::array<std::string_view, 5> names{"issued", "uploaded", "verified", "failed", "expired"};
constexpr std::string_view sortable =
    "0123456789abcdefghijklmnopqrstuv";      // base32hex (RFC 4648, 7) sorts as its numbers
constexpr std::size_t time_characters = 10;  // 50 bits of milliseconds
constexpr milliseconds more_offline_after{60'000};
constexpr milliseconds recent{26 * 3'600'000};  // what lives and is older is in an index of its own

std::string time_prefix(timestamp t) {
  auto ms = std::uint64_t(std::max<std::int64_t>(0, t.time_since_epoch().count()));
  std::string out(time_characters, '0');
  for (std::size_t i = time_characters; i-- > 0; ms /= 32) out[i] = sortable[ms % 32];
  return out;
}

/// Drawn for many ids at once: a draw costs much, however short. No secret.
std::string random_part() {
  constexpr std::size_t characters = 16, ids = 64;
  thread_local std::string drawn;
  if (drawn.empty()) drawn = random_id(characters * ids);
  auto out = drawn.substr(drawn.size() - characters);
  drawn.resize(drawn.size() - characters);
  return out;
}

sql::upload_row to_row(const upload& u) {
  return {.grant_id = u.grant_id,
          .device = u.device,
          .instance = u.instance,
          .request_id = u.request_id,
          .service_id = u.service_id,
          .service_name = u.service_name,
          .service_revision = u.service_revision,
          .object = u.object,
          .operation = u.is_get ? "get" : "put",
          .state = std::string(to_string(u.state)),
          .reason = u.reason,
          .can_report = u.can_report,
          .size_declared = signed_size(u.size_declared),
          .size_bytes = signed_size(u.size_bytes),
          .sha256 = u.sha256,
          .issued_at = to_ms(u.issued_at),
          .expires_at = to_ms(u.expires_at),
          .updated_at = to_ms(u.updated_at),
          .verify = std::string(to_string(u.verify)),
          .parts_id = u.parts_id,
          .part_bytes = std::int64_t(u.part_bytes),
          .offline = u.offline,
          .asked_service = u.asked_service,
          .change_id = u.change_id,
          .max_size = std::int64_t(u.max_size.value_or(0)),
          .quota_bytes = std::int64_t(u.quota_bytes),
          .content_type = u.content_type};
}

upload from_row(sql::upload_row r) {
  return {.grant_id = std::move(r.grant_id),
          .device = std::move(r.device),
          .instance = std::move(r.instance),
          .request_id = std::move(r.request_id),
          .service_id = std::move(r.service_id),
          .service_name = std::move(r.service_name),
          .service_revision = r.service_revision,
          .object = std::move(r.object),
          .is_get = r.operation == "get",
          .state = upload_state_from_string(r.state).value_or(upload_state::issued),
          .reason = std::move(r.reason),
          .can_report = r.can_report,
          .size_declared = unsigned_size(r.size_declared),
          .size_bytes = unsigned_size(r.size_bytes),
          .sha256 = std::move(r.sha256),
          .issued_at = from_ms(r.issued_at),
          .expires_at = from_ms(r.expires_at),
          .updated_at = from_ms(r.updated_at),
          .verify = verification_from_string(r.verify).value_or(verification::head),
          .parts_id = std::move(r.parts_id),
          .part_bytes = std::uint64_t(r.part_bytes),
          .offline = r.offline,
          .asked_service = std::move(r.asked_service),
          .change_id = std::move(r.change_id),
          .asked = {},
          .max_size = r.max_size > 0 ? std::optional(std::uint64_t(r.max_size)) : std::nullopt,
          .quota_bytes = std::uint64_t(r.quota_bytes),
          .content_type = std::move(r.content_type)};
}

std::vector<upload> from_rows(std::vector<sql::upload_row> rows) {
  std::vector<upload> out;
  out.reserve(rows.size());
  for (auto& r : rows) out.push_back(from_row(std::move(r)));
  return out;
}

/// Whether the row's grant may be given, as of the last commit and until the end of this one: false where its service
/// or what the policies are is another by now. Errors: permission_denied.
result<bool> may_grant(sql::connection& c, const sql::upload_row& row, const grant_terms& terms,
                       const sql::service_asked_for& asked = {}) {
  // What is counted is counted of a device one at a time.
  const bool is_counted = row.offline || terms.grants_per_minute || terms.bytes_per_day;
  TRY(const auto device, sql::hold_device(c, row.device, is_counted));
  if (!device || device->blocked) return fail(refusal_of_device(device.has_value()));
  if (device->group != terms.group) return false;
  TRY(const auto blocks, sql::may_sign(c, row, asked, {std::string(tenant_of(row.device)), terms.policy_epoch}));
  if (blocks && *blocks > 0) CHECK(check_blocks(c, row));
  return blocks.has_value();
}

/// At the end of the transaction: numbers the change.
void append_event(sql::connection& c, const std::string& grant_id, const std::string& before, const std::string& state,
                  const std::string& reason, std::int64_t at) {
  c.at_end([=](sql::connection& last) { return sql::append_upload_event(last, grant_id, before, state, reason, at); });
}

audit_record note_of(const io::clock& clock, const upload& u, std::string_view what) {
  return done_now(clock, of_device(u.device), what, kind::object, u.service_name + "/" + u.object,
                  "grant=" + u.grant_id + (u.asked_service.empty() ? "" : " asked=" + u.asked_service));
}

}  // namespace

std::string_view to_string(upload_state s) noexcept { return names[std::size_t(s)]; }

result<upload_state> upload_state_from_string(std::string_view text) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end())
    return fail(errc::invalid_argument, "state", "state must be issued, uploaded, verified, failed or expired");
  return upload_state(found - names.begin());
}

bool is_final(upload_state s) noexcept { return s == upload_state::verified || s == upload_state::failed; }

bool is_finished(upload_state s, verification verify) noexcept {
  return is_final(s) || s == upload_state::expired || (s == upload_state::uploaded && verify == verification::none);
}

upload_event event_of(sql::upload_event_row row) {
  return {std::uint64_t(row.sequence), from_row(std::move(row.upload))};
}

std::string ledger::new_id() const { return time_prefix(clock_.now()) + random_part(); }

result<void> ledger::check_reachable() const {
  if (std::chrono::steady_clock::now() - db_.reached_at() <= unreachable_after) return {};
  return fail(error(errc::unavailable, "the database is out of reach: try again").after(unreachable_after));
}

io::task<result<bool>> ledger::issue(upload u, grant_terms terms) {
  std::function<result<bool>(sql::connection&)> insert =
      [row = to_row(u), terms, asked = u.asked,
       note =
           note_of(clock_, u, u.is_get ? action::grant_get : action::grant_put)](sql::connection& c) -> result<bool> {
    TRY(const bool current, may_grant(c, row, terms, asked));
    if (!current) return false;
    if (row.offline) {
      TRY(const auto unused, sql::count_offline_grants(c, row.device, row.issued_at));
      if (std::uint64_t(unused) >= terms.max_offline)
        return fail(error(errc::rate_limited,
                          "this device has " + std::to_string(unused) + " offline grants already that it has not used")
                        .after(more_offline_after));
    }
    CHECK(take_quota(c, row, terms));
    CHECK(sql::insert_upload(c, row));
    append_event(c, row.grant_id, "", row.state, row.reason, row.updated_at);
    sql::count_granted(c, row);
    c.note(note);
    return true;
  };
  auto outcome = co_await db_.run<bool>(std::move(insert));
  if (outcome && *outcome) changed_.notify();
  co_return outcome;
}

io::task<result<bool>> ledger::settle(upload_outcome o) {
  sql::upload_change change{
      o.grant_id, std::string(to_string(o.state)), o.reason, signed_size(o.size_bytes), o.sha256, to_ms(clock_.now())};
  auto put = std::make_shared<std::int64_t>(0);  // deliveries
  std::function<result<bool>(sql::connection&)> move = [change, state = o.state, by_device = o.by_device,
                                                        put](sql::connection& c) -> result<bool> {
    *put = 0;
    TRY(const auto before, sql::hold_upload(c, change.grant_id));
    TRY(const bool moved, sql::change_upload(c, change));
    if (!moved || !before || before->state == change.state) return moved;
    sql::count_moved(c, *before, change.state, change.updated_at);
    CHECK(correct_quota(c, *before, state, change.size_bytes));
    const std::string uploaded(to_string(upload_state::uploaded));
    auto from = before->state;
    if (by_device && from == to_string(upload_state::issued) && change.state != uploaded) {
      append_event(c, change.grant_id, from, uploaded, "", change.updated_at);
      from = uploaded;
    }
    append_event(c, change.grant_id, from, change.state, change.reason, change.updated_at);
    const auto verify = verification_from_string(before->verify).value_or(verification::head);
    if (before->operation != "put" || !is_finished(state, verify)) return true;
    c.at_end([change, put, service = before->service_name,
              asked = before->asked_service](sql::connection& last) -> result<void> {
      TRY(const auto numbered, sql::find_event_sequence(last));
      TRY(*put, sql::insert_deliveries(last, numbered.newest, service, asked, change.state, change.updated_at,
                                       max_pending_deliveries));
      return {};
    });
    return true;
  };
  auto outcome = co_await db_.run<bool>(std::move(move));
  if (outcome) changed_.notify();
  if (outcome && *put > 0) outbox_.notify();
  co_return outcome;
}

io::task<result<void>> ledger::prolong(upload u, timestamp expires_at, grant_terms terms) {
  std::function<result<bool>(sql::connection&)> move =
      [id = u.grant_id, expires_at, terms,
       note = note_of(clock_, u, action::grant_renew)](sql::connection& c) -> result<bool> {
    TRY(const auto row, sql::find_upload(c, id));
    if (!row) return false;
    TRY(const bool current, may_grant(c, *row, terms));
    if (!current) return false;
    return noted(c, note, sql::prolong_upload(c, id, to_ms(expires_at)));
  };
  CO_TRY(const bool open, co_await db_.run<bool>(std::move(move)));
  if (!open) co_return fail(errc::not_found, "the upload has ended already");
  co_return result<void>();
}

io::task<result<page<upload>>> ledger::list(upload_filter f, page_request r) {
  if (r.limit < 1 || r.limit > max_page)
    co_return fail(errc::invalid_argument, "limit", "limit must be 1 to " + std::to_string(max_page));
  if (r.cursor.size() > 64)
    co_return fail(errc::invalid_argument, "cursor", "cursor must be the one of the page before");
  sql::upload_query q;
  if (!f.all_tenants) q.tenant = f.tenant;
  q.device = f.device;
  q.service_name = f.service;
  if (f.state) q.state = std::string(to_string(*f.state));
  if (f.since) q.from_id = time_prefix(*f.since);
  q.before_id = r.cursor;
  q.limit = std::int64_t(r.limit) + 1;
  std::function<result<std::vector<sql::upload_row>>(sql::connection&)> read = [q](sql::connection& c) {
    return sql::list_uploads(c, q);
  };
  CO_TRY(auto rows, co_await db_.run<std::vector<sql::upload_row>>(std::move(read)));
  page<upload> out;
  const bool more = rows.size() > r.limit;
  if (more) rows.pop_back();
  out.items = from_rows(std::move(rows));
  if (more) out.next_cursor = out.items.back().grant_id;
  co_return out;
}

io::task<result<upload>> ledger::get(std::string grant_id) {
  std::function<result<std::optional<sql::upload_row>>(sql::connection&)> read = [grant_id](sql::connection& c) {
    return sql::find_upload(c, grant_id);
  };
  CO_TRY(auto row, co_await db_.run<std::optional<sql::upload_row>>(std::move(read)));
  if (!row) co_return fail(errc::not_found, "there is no upload of that grant id");
  co_return from_row(*std::move(row));
}

io::task<result<live_grants>> ledger::live(std::string device) {
  std::function<result<sql::live_grants_row>(sql::connection&)> read =
      [device, now = to_ms(clock_.now()), from = time_prefix(clock_.now() - recent)](sql::connection& c) {
        return sql::find_live_grants(c, device, now, from);
      };
  CO_TRY(const auto found, co_await db_.run<sql::live_grants_row>(std::move(read)));
  live_grants out;
  add_to(out, found);
  co_return out;
}

io::task<result<bool>> ledger::is_only_one(upload u) {
  std::function<result<bool>(sql::connection&)> read = [row = to_row(u)](sql::connection& c) {
    return sql::has_other_upload(c, row);
  };
  CO_TRY(const bool other, co_await db_.run<bool>(std::move(read)));
  co_return !other;
}

io::task<result<std::vector<upload>>> ledger::overdue(timestamp before, std::size_t limit) {
  std::function<result<std::vector<sql::upload_row>>(sql::connection&)> read = [before, limit](sql::connection& c) {
    return sql::list_overdue_uploads(c, to_ms(before), std::int64_t(limit));
  };
  CO_TRY(auto rows, co_await db_.run<std::vector<sql::upload_row>>(std::move(read)));
  co_return from_rows(std::move(rows));
}

io::task<result<upload_events>> ledger::events(upload_filter f, std::uint64_t after) {
  sql::event_query q;
  q.after = std::int64_t(std::min<std::uint64_t>(after, INT64_MAX));
  if (!f.all_tenants) q.tenant = f.tenant;
  q.device = f.device;
  q.service_name = f.service;
  if (f.state) q.state = std::string(to_string(*f.state));
  if (f.since) q.from_id = time_prefix(*f.since);
  q.limit = max_events;
  std::function<result<sql::event_page>(sql::connection&)> read = [q](sql::connection& c) {
    return sql::list_upload_events(c, q);
  };
  CO_TRY(auto found, co_await db_.run<sql::event_page>(std::move(read)));
  upload_events out;
  for (auto& e : found.events) out.events.push_back(event_of(std::move(e)));
  out.position = std::uint64_t(found.position);
  out.more = found.more;
  co_return out;
}

io::task<result<sql::event_sequence>> ledger::sequence() {
  std::function<result<sql::event_sequence>(sql::connection&)> read = sql::find_event_sequence;
  auto outcome = co_await db_.run<sql::event_sequence>(std::move(read));
  co_return outcome;
}

io::task<result<std::uint64_t>> ledger::reader(std::string name) {
  std::function<result<std::int64_t>(sql::connection&)> read = [name](sql::connection& c) {
    return sql::find_reader(c, name);
  };
  CO_TRY(const auto position, co_await db_.run<std::int64_t>(std::move(read)));
  co_return std::uint64_t(position);
}

io::task<result<void>> ledger::move_reader(std::string name, std::uint64_t position) {
  std::function<result<void>(sql::connection&)> move = [name, position](sql::connection& c) {
    return sql::move_reader(c, name, std::int64_t(position));
  };
  auto outcome = co_await db_.run<void>(std::move(move));
  co_return outcome;
}

io::task<result<std::size_t>> ledger::forget(timestamp before) {
  auto forgotten = std::make_shared<std::int64_t>(0);
  std::function<result<void>(sql::connection&)> drop = [before, forgotten](sql::connection& c) -> result<void> {
    c.at_end([=](sql::connection& last) -> result<void> {
      TRY(*forgotten, sql::forget_uploads(last, to_ms(before), time_prefix(before), std::int64_t(max_forgotten)));
      return {};
    });
    return {};
  };
  CO_CHECK(co_await db_.run<void>(std::move(drop)));
  co_return std::size_t(*forgotten);
}

io::task<result<std::array<std::uint64_t, 5>>> ledger::count() {
  std::function<result<std::vector<sql::upload_count>>(sql::connection&)> read = sql::count_uploads;
  CO_TRY(const auto rows, co_await db_.run<std::vector<sql::upload_count>>(std::move(read)));
  std::array<std::uint64_t, 5> out{};
  for (const auto& r : rows) {
    const auto state = upload_state_from_string(r.state);
    if (state) out[std::size_t(*state)] += std::uint64_t(r.rows);
  }
  co_return out;
}

}  // namespace evp::backend
