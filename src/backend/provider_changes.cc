#include "backend/provider_changes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "backend/live_grants.h"
#include "backend/unix_ms.h"
#include "base/crypto.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr std::array<std::string_view, 4> states{"running", "fallen back", "gone back", "finished"};

change_state state_of(const sql::provider_change_row& r) {
  const auto found = std::find(states.begin(), states.end(), r.state);
  return found == states.end() ? change_state::gone_back : change_state(found - states.begin());
}

bool runs(const sql::provider_change_row& r) { return state_of(r) == change_state::running; }

tl::unexpected<error> no_change(std::string_view service) {
  return fail(errc::not_found, fmt::format("the storage access service \"{}\" has no change of provider: begin one "
                                           "with PUT /v1/storage-access-services/{}/change",
                                           local_name(service), local_name(service)));
}

result<void> check_range(const std::optional<std::int64_t>& n, std::string_view field, std::int64_t least,
                         std::int64_t most) {
  if (!n || (*n >= least && *n <= most)) return {};
  return fail(errc::invalid_argument, std::string(field), fmt::format("{} must be {} to {}", field, least, most));
}

result<void> check(const change_input& in) {
  CHECK(check_range(in.percent, "percent", 0, 100));
  CHECK(check_range(in.error_percent, "fallBack.errorPercent", 0, 100));
  CHECK(check_range(in.minimum, "fallBack.minimum", 1, provider_changes::max_minimum));
  if (in.window && (*in.window < provider_changes::min_window || *in.window > provider_changes::max_window))
    return fail(errc::invalid_argument, "fallBack.window",
                fmt::format("fallBack.window must be {} to {}", format_iso8601_duration(provider_changes::min_window),
                            format_iso8601_duration(provider_changes::max_window)));
  return {};
}

/// A new change's row, of which nothing has been altered yet.
sql::provider_change_row fresh_row(const service_view& from, const service_view& to, std::int64_t now) {
  sql::provider_change_row r;
  r.source_id = from.id;
  r.source_name = from.name;
  r.id = random_id(20);
  r.target_id = to.id;
  r.target_name = to.name;
  r.error_percent = provider_changes::default_error_percent;
  r.minimum = provider_changes::default_minimum;
  r.window_ms = provider_changes::default_window.count();
  r.state = to_string(change_state::running);
  r.began_at = now;
  return r;
}

void alter(sql::provider_change_row& r, const change_input& in, std::int64_t now) {
  r.percent = in.percent.value_or(r.percent);
  r.error_percent = in.error_percent.value_or(r.error_percent);
  r.minimum = in.minimum.value_or(r.minimum);
  if (in.window) r.window_ms = in.window->count();
  r.shadow = in.shadow.value_or(r.shadow);
  r.updated_at = now;
}

std::string detail_of(const sql::provider_change_row& r) {
  return fmt::format("to={} percent={} errorPercent={} minimum={} window={} shadow={}", local_name(r.target_name),
                     r.percent, r.error_percent, r.minimum, format_iso8601_duration(milliseconds(r.window_ms)),
                     r.shadow);
}

change_view view_of(const sql::provider_change_row& r) {
  change_view v;
  v.service = r.source_name;
  v.to = r.target_name;
  v.state = state_of(r);
  v.reason = r.reason;
  v.percent = int(r.percent);
  v.error_percent = int(r.error_percent);
  v.minimum = r.minimum;
  v.window = milliseconds(r.window_ms);
  v.shadow = r.shadow;
  v.began_at = from_ms(r.began_at);
  v.updated_at = from_ms(r.updated_at);
  if (r.ended_at != 0) v.ended_at = from_ms(r.ended_at);
  return v;
}

/// Ends a change that runs, in its transaction.
result<void> end(sql::connection& c, sql::provider_change_row r, change_state how, std::int64_t now) {
  r.state = to_string(how);
  r.updated_at = r.ended_at = now;
  return sql::put_provider_change(c, std::move(r));
}

}  // namespace

std::string_view to_string(change_state s) noexcept { return states[std::size_t(s)]; }

io::task<result<void>> provider_changes::load() {
  std::function<result<std::vector<sql::provider_change_row>>(sql::connection&)> read = sql::list_provider_changes;
  CO_TRY(const auto rows, co_await db_.run<std::vector<sql::provider_change_row>>(std::move(read)));
  decltype(known_) fresh;
  for (const auto& r : rows) {
    const auto before = known_.find(r.source_id);
    if (before != known_.end() && before->second.revision > r.revision) {  // read before a change of our own
      fresh.emplace(r.source_id, before->second);
      continue;
    }
    known k;
    k.id = r.id;
    k.source_name = r.source_name;
    k.target_id = r.target_id;
    k.target_name = r.target_name;
    k.revision = r.revision;
    k.percent = int(r.percent);
    k.runs = runs(r);
    k.shadow = r.shadow;
    fresh.emplace(r.source_id, std::move(k));
  }
  known_ = std::move(fresh);
  co_return result<void>();
}

std::vector<provider_changes::shadowed> provider_changes::all_shadowed() const {
  std::vector<shadowed> out;
  for (const auto& [id, k] : known_)
    if (k.runs && k.shadow) out.push_back({k.id, k.source_name, k.target_name});
  return out;
}

std::vector<std::string> provider_changes::warnings(const service_view& from, const service_view& to) const {
  std::vector<std::string> out;
  const auto name = local_name(to.name);
  if (from.offline && !to.offline)
    out.push_back(
        fmt::format("offlineGrantDuration: \"{}\" gives no offline grants: devices of the change keep none.", name));
  if (from.object_name_template != to.object_name_template)
    out.push_back(
        fmt::format("objectNameTemplate: objects have other names in \"{}\": {}.", name, to.object_name_template));
  if (from.verify != to.verify)
    out.push_back(fmt::format("verify: uploads to \"{}\" are checked by {}, not by {}.", name, to_string(to.verify),
                              to_string(from.verify)));
  if (from.bounds.create_only && !to.bounds.create_only)
    out.push_back(fmt::format("bounds.createOnly: \"{}\" lets devices replace objects.", name));
  if (!to.bounds.max_size) return out;
  if (!from.bounds.max_size || *from.bounds.max_size > *to.bounds.max_size)
    out.push_back(fmt::format("bounds.maxSize: \"{}\" takes at most {} bytes.", name, *to.bounds.max_size));
  return out;
}

io::task<result<change_view>> provider_changes::put(std::string service, change_input in, origin by) {
  CO_TRY(const auto from, services_.get(service));
  CO_CHECK(check(in));
  std::optional<service_view> to;
  if (in.to) {
    auto scoped = scoped_name(tenant_of(service), *in.to);
    auto found = scoped ? services_.get(*scoped) : result<service_view>(fail(scoped.error()));
    if (!found) co_return fail(errc::invalid_argument, "to", "to must be the name of another storage access service");
    if (found->id == from.id) co_return fail(errc::invalid_argument, "to", "to must be another service than this one");
    to = std::move(*found);
  }
  std::function<result<void>(sql::connection&)> store = [&clock = clock_, from, to, in,
                                                         by](sql::connection& c) -> result<void> {
    const auto now = to_ms(clock.now());
    TRY(auto row, sql::hold_provider_change(c, from.id));
    if (row && runs(*row) && to && to->id != row->target_id)
      return fail(errc::failed_precondition, "to",
                  fmt::format("it is being changed to \"{}\" already: go back or finish that first",
                              local_name(row->target_name)));
    if (!row || !runs(*row)) {
      if (!to) return fail(errc::invalid_argument, "to", "to is missing: name the service to change to");
      if (!in.percent)
        return fail(errc::invalid_argument, "percent", "percent is missing: say how many devices in a hundred begin");
      CHECK(sql::check_can_begin(c, from.id, to->id));
      row = fresh_row(from, *to, now);
    }
    alter(*row, in, now);
    CHECK(sql::put_provider_change(c, *row));
    c.note(done_now(clock, by, action::service_change, kind::service, from.name, detail_of(*row)));
    return {};
  };
  CO_CHECK(co_await db_.run<void>(std::move(store)));
  CO_CHECK(co_await load());
  CO_TRY(auto out, co_await get(service));
  const auto target = services_.get(out.to);
  if (target) out.warnings = warnings(from, *target);
  co_return out;
}

io::task<result<change_view>> provider_changes::get(std::string service) {
  CO_TRY(const auto from, services_.get(service));
  auto out = std::make_shared<std::optional<change_view>>();
  std::function<result<void>(sql::connection&)> read = [out, id = from.id,
                                                        now = to_ms(clock_.now())](sql::connection& c) -> result<void> {
    TRY(const auto row, sql::find_provider_change(c, id));
    if (!row) return {};
    auto view = view_of(*row);
    TRY(view.figures, sql::find_change_counts(c, row->id, now - row->window_ms));
    *out = std::move(view);
    return {};
  };
  CO_CHECK(co_await db_.run<void>(std::move(read)));
  if (!*out) co_return no_change(service);
  co_return std::move(**out);
}

io::task<result<change_view>> provider_changes::go_back(std::string service, origin by) {
  CO_TRY(const auto from, services_.get(service));
  std::function<result<bool>(sql::connection&)> store = [&clock = clock_, id = from.id, name = from.name,
                                                         by](sql::connection& c) -> result<bool> {
    TRY(const auto row, sql::hold_provider_change(c, id));
    if (!row) return false;
    if (state_of(*row) == change_state::finished)
      return fail(errc::failed_precondition,
                  "the change is finished: the service has the new configuration, and to change it again is another "
                  "change, or a PUT of the service");
    if (!runs(*row)) return true;
    CHECK(end(c, *row, change_state::gone_back, to_ms(clock.now())));
    c.note(done_now(clock, by, action::service_change_back, kind::service, name, detail_of(*row)));
    return true;
  };
  CO_TRY(const bool there, co_await db_.run<bool>(std::move(store)));
  if (!there) co_return no_change(service);
  CO_CHECK(co_await load());
  CO_TRY(auto out, co_await get(service));

  std::function<result<sql::live_grants_row>(sql::connection&)> count =
      [id = from.id, now = to_ms(clock_.now())](sql::connection& c) -> result<sql::live_grants_row> {
    TRY(const auto row, sql::find_provider_change(c, id));
    if (!row) return sql::live_grants_row();
    return sql::find_rerouted_grants(c, *row, now);
  };
  CO_TRY(const auto found, co_await db_.run<sql::live_grants_row>(std::move(count)));
  add_to(out.still_good.emplace(), found);
  co_return out;
}

io::task<result<change_view>> provider_changes::finish(std::string service, origin by) {
  CO_TRY(const auto from, services_.get(service));
  CO_TRY(const auto change, co_await get(service));
  std::function<result<void>(sql::connection&)> close = [&clock = clock_, id = from.id, to = change.to,
                                                         name = from.name, by](sql::connection& c) -> result<void> {
    TRY(const auto row, sql::hold_provider_change(c, id));
    if (!row || !runs(*row) || row->target_name != to)
      return fail(errc::failed_precondition, "the change does not run any more: nothing is to be finished");
    if (row->percent != 100)
      return fail(errc::failed_precondition,
                  fmt::format("the change is at {} percent: finish it when it has been at 100", row->percent));
    CHECK(end(c, *row, change_state::finished, to_ms(clock.now())));
    c.note(done_now(clock, by, action::service_change_finish, kind::service, name, detail_of(*row)));
    return {};
  };
  CO_CHECK(co_await services_.take_configuration(service, change.to, std::move(close)));
  CO_CHECK(co_await load());
  auto out = co_await get(service);
  co_return out;
}

io::task<result<provider_changes::totals>> provider_changes::count() {
  auto out = std::make_shared<totals>();
  std::function<result<void>(sql::connection&)> read = [out](sql::connection& c) -> result<void> {
    *out = {};
    for (const auto s : states) out->by_state[std::string(s)] = 0;
    TRY(const auto rows, sql::list_provider_changes(c));
    for (const auto& r : rows) {
      ++out->by_state[r.state];
      if (!runs(r)) continue;
      TRY(const auto counts, sql::find_change_counts(c, r.id, r.updated_at));
      out->from += counts.from;
      out->to += counts.to;
    }
    return {};
  };
  CO_CHECK(co_await db_.run<void>(std::move(read)));
  out->fell_back = fell_back_;
  co_return std::move(*out);
}

}  // namespace evp::backend
