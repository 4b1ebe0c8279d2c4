#include "backend/devices.h"

#include <spdlog/spdlog.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/names.h"
#include "sql/changes_store.h"
#include "sql/policies_store.h"

namespace evp::backend {
namespace {

constexpr std::int64_t load_page = 10'000;    // rows in memory beside what is made of them
constexpr std::size_t token_characters = 32;  // of 5 random bits each: 160 bits

tl::unexpected<error> unknown_device() { return fail(errc::not_found, "there is no device of that id"); }

tl::unexpected<error> id_taken() {
  return fail(errc::already_exists, "id", "there is a device of that id: choose another, or remove that one first");
}

result<void> nothing_else(sql::connection&) { return {}; }

tl::unexpected<error> no_group(std::string_view name) {
  return fail(errc::not_found, "group",
              "there is no device group \"" + std::string(local_name(name).substr(0, 64)) +
                  "\": make it with PUT /v1/device-groups/<name>");
}

constexpr std::size_t tell_again_in_batch = 1000;  // devices in one read

/// A place in a set, for as long as this lives.
class mark {
 public:
  mark(std::multiset<std::string, std::less<>>& in, const std::string& id) : in_(in), at_(in.insert(id)) {}
  ~mark() { in_.erase(at_); }
  mark(const mark&) = delete;
  mark& operator=(const mark&) = delete;

 private:
  std::multiset<std::string, std::less<>>& in_;
  std::multiset<std::string, std::less<>>::iterator at_;
};

}  // namespace

error refusal_of_device(bool exists) {
  return {errc::permission_denied, exists ? "this device is blocked" : "this device is not registered"};
}

result<void> check_group(sql::connection& c, const std::string& group) {
  if (group.empty()) return {};
  TRY(const bool there, sql::hold_group(c, group));
  if (!there) return no_group(group);
  return {};
}

device_view devices::view(const entries::value_type& e) {
  return {e.first, e.second.is_blocked(), e.second.created_at, e.second.group};
}

io::task<result<void>> devices::load() {
  all_.clear();
  std::string after;
  for (bool more = true; more;) {
    std::function<result<std::vector<sql::device_row>>(sql::connection&)> read = [after](sql::connection& c) {
      return sql::list_devices_after(c, after, load_page);
    };
    CO_TRY(auto rows, co_await db_.run<std::vector<sql::device_row>>(std::move(read)));
    more = std::int64_t(rows.size()) == load_page;
    if (more) after = rows.back().id;
    for (auto& r : rows)
      all_.emplace_hint(
          all_.end(), std::move(r.id),
          entry{std::move(r.token_sha256), r.blocked, timestamp(milliseconds(r.created_at)), std::move(r.group)});
  }
  co_return result<void>();
}

io::task<result<std::vector<std::string>>> devices::refresh(std::set<std::string> ids) {
  found rows;
  while (!ids.empty()) {
    std::vector<std::string> some;
    while (!ids.empty() && some.size() < tell_again_in_batch) some.push_back(ids.extract(ids.begin()).value());
    std::function<result<found>(sql::connection&)> read = [some](sql::connection& c) -> result<found> {
      found out;
      for (const auto& id : some) { TRY(out[id], sql::find_device(c, id)); }
      return out;
    };
    CO_TRY(auto part, co_await db_.run<found>(std::move(read)));
    rows.merge(part);
  }
  auto gone = co_await take_over(std::move(rows));
  co_return gone;
}

io::task<result<std::vector<std::string>>> devices::refresh_all() {
  std::function<result<std::vector<sql::device_row>>(sql::connection&)> read = sql::list_devices;
  CO_TRY(auto all, co_await db_.run<std::vector<sql::device_row>>(std::move(read)));
  found rows;
  for (const auto& [id, e] : all_) rows.emplace_hint(rows.end(), id, std::nullopt);
  for (auto& r : all) rows[r.id] = r;
  auto gone = co_await take_over(std::move(rows));
  co_return gone;
}

// First all that is in memory, then the broker, which takes its time: one that does not answer is asked once, since it
// will be told all devices when it is found anew.
io::task<std::vector<std::string>> devices::take_over(found rows) {
  std::vector<std::string> gone;
  std::vector<device_credentials> changed;
  for (const auto& [id, row] : rows) {
    if (changing_.contains(id)) continue;
    const auto known = all_.find(id);
    if (!row) {
      if (known == all_.end()) continue;
      all_.erase(known);
      gone.push_back(id);
      continue;
    }
    const bool is_same =
        known != all_.end() && known->second.token_sha256 == row->token_sha256 && known->second.blocked == row->blocked;
    if (is_same) {
      known->second.group = row->group;  // of which the broker knows nothing
      continue;
    }
    auto& e = all_[id];
    e.token_sha256 = row->token_sha256;
    e.blocked = row->blocked;
    e.created_at = timestamp(milliseconds(row->created_at));
    e.group = row->group;
    changed.push_back({id, e.token_sha256, e.is_blocked()});
  }
  bool answers = gateway_ != nullptr;
  for (std::size_t i = 0; i < changed.size() && answers; ++i) {
    const bool blocked = changed[i].blocked;
    const auto failure = co_await tell_broker(std::move(changed[i]), blocked);
    answers = !failure;
  }
  for (std::size_t i = 0; i < gone.size() && answers; ++i) {
    const auto told = co_await gateway_->remove_device(gone[i]);
    answers = told.has_value();
  }
  co_return gone;
}

io::task<result<created_device>> devices::create(std::optional<std::string> id, std::string tenant, origin by,
                                                 std::string group) {
  auto scoped = new_scoped_name(tenant, id ? *id : "device-" + random_id(12), "a device's id");
  if (!scoped) co_return fail(std::move(std::move(scoped).error()).at("id"));
  const std::string name = std::move(*scoped);
  if (all_.contains(name)) co_return id_taken();
  if (all_.size() >= max_devices) co_return fail(errc::too_large, "this backend's number of devices is reached");

  created_device out;
  out.token = secret(random_id(token_characters));
  out.device = device_view{name, false, clock_.now(), group};
  sql::device_row row{name, to_hex(sha256(out.token.reveal())), false, out.device.created_at.time_since_epoch().count(),
                      std::move(group)};
  CO_CHECK(co_await add(std::move(row), nothing_else, std::move(by)));
  co_return out;
}

io::task<result<void>> devices::add(sql::device_row row, std::function<result<void>(sql::connection&)> also,
                                    origin by) {
  std::function<result<void>(sql::connection&)> insert =
      [row, also,
       note = done_now(clock_, by, action::device_create, kind::device, row.id)](sql::connection& c) -> result<void> {
    sql::note_change(c, "device", row.id);
    CHECK(check_group(c, row.group));
    CHECK(noted(c, note, sql::insert_device(c, row)));
    return also(c);
  };
  const auto stored = co_await db_.run<void>(std::move(insert));
  if (!stored && stored.error().code() == errc::already_exists) co_return id_taken();
  if (!stored) co_return fail(stored.error());
  all_[row.id] = entry{row.token_sha256, false, timestamp(milliseconds(row.created_at)), row.group};
  device_credentials told{row.id, row.token_sha256, false};
  (void)co_await tell_broker(std::move(told), false);
  co_return result<void>();
}

io::task<result<void>> devices::admit(std::string id, std::function<result<void>(sql::connection&)> also, origin by,
                                      std::string group) {
  if (all_.contains(id)) {
    auto outcome = co_await db_.run<void>(std::move(also));
    co_return outcome;
  }
  if (all_.size() >= max_devices) co_return fail(errc::too_large, "this backend's number of devices is reached");
  sql::device_row row{id, "", false, clock_.now().time_since_epoch().count(), std::move(group)};
  auto outcome = co_await add(std::move(row), std::move(also), std::move(by));
  co_return outcome;
}

result<page<device_view>> devices::list(const page_request& r, std::string_view tenant) const {
  if (r.limit < 1 || r.limit > max_page)
    return fail(errc::invalid_argument, "limit", "limit must be 1 to " + std::to_string(max_page));
  auto first = scoped_name(tenant, r.cursor);
  if (!first) return fail(std::move(std::move(first).error()).at("cursor"));
  page<device_view> out;
  for (auto at = r.cursor.empty() ? all_.lower_bound(*first) : all_.upper_bound(*first); at != all_.end();) {
    const auto whose = tenant_of(at->first);
    if (whose != tenant) {
      if (!tenant.empty()) break;
      at = all_.lower_bound(std::string(whose) + char(tenant_separator + 1));  // past all of that tenant
      continue;
    }
    if (out.items.size() == r.limit) {
      out.next_cursor = local_name(out.items.back().id);
      break;
    }
    out.items.push_back(view(*at++));
  }
  return out;
}

result<device_view> devices::get(std::string_view id) const {
  const auto found = all_.find(id);
  if (found == all_.end()) return unknown_device();
  return view(*found);
}

io::task<result<device_change>> devices::remove(std::string id, origin by,
                                                std::function<result<void>(sql::connection&)> also) {
  const auto found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  device_change out;
  out.device = view(*found);
  out.device.blocked = true;
  found->second.refused = true;  // nothing more is answered while the database works
  const mark changing(changing_, id);
  std::function<result<bool>(sql::connection&)> drop =
      [id, also,
       note = done_now(clock_, by, action::device_remove, kind::device, id)](sql::connection& c) -> result<bool> {
    sql::note_change(c, "device", id);
    if (also) CHECK(also(c));
    TRY(const bool removed, sql::remove_device(c, id));
    CHECK(sql::remove_policy(c, {std::string(tenant_of(id)), "device", id}));
    return noted(c, note, result<bool>(removed));
  };
  const auto dropped = co_await db_.run<bool>(std::move(drop));
  if (!dropped) {
    const auto kept = all_.find(id);
    if (kept != all_.end() && dropped.error().code() == errc::too_large) kept->second.refused = false;
    co_return fail(dropped.error());
  }
  all_.erase(id);
  if (gateway_) {
    const auto told = co_await gateway_->remove_device(id);
    if (!told) out.broker = told.error();
  }
  co_return out;
}

io::task<result<device_view>> devices::set_group(std::string id, std::string group, origin by) {
  if (!all_.contains(id)) co_return unknown_device();
  const mark changing(changing_, id);
  auto note = done_now(clock_, by, action::device_change, kind::device, id, "group=" + std::string(local_name(group)));
  std::function<result<void>(sql::connection&)> store = [id, group, note](sql::connection& c) -> result<void> {
    sql::note_change(c, "device", id);
    CHECK(check_group(c, group));
    return noted(c, note, sql::set_device_group(c, id, group));
  };
  CO_CHECK(co_await db_.run<void>(std::move(store)));
  const auto found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  found->second.group = std::move(group);
  co_return view(*found);
}

io::task<result<device_change>> devices::block(std::string id, origin by) {
  return set_blocked(std::move(id), true, std::move(by));
}
io::task<result<device_change>> devices::unblock(std::string id, origin by) {
  return set_blocked(std::move(id), false, std::move(by));
}

io::task<result<device_change>> devices::set_blocked(std::string id, bool blocked, origin by) {
  auto found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  device_credentials told{id, found->second.token_sha256, blocked};
  device_change out;
  const mark changing(changing_, id);
  if (blocked) {  // refuse at once; the disk comes after
    found->second.refused = true;
    auto copy = told;
    out.broker = co_await tell_broker(std::move(copy), true);
  }
  const auto what = blocked ? action::device_block : action::device_unblock;
  std::function<result<void>(sql::connection&)> store =
      [id, blocked, note = done_now(clock_, by, what, kind::device, id)](sql::connection& c) {
        sql::note_change(c, "device", id);
        return noted(c, note, sql::set_device_blocked(c, id, blocked));
      };
  CO_CHECK(co_await db_.run<void>(std::move(store)));
  found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  found->second.blocked = blocked;
  found->second.refused = false;
  if (!blocked) {
    out.broker = co_await tell_broker(std::move(told), false);
    found = all_.find(id);
    if (found == all_.end()) co_return unknown_device();
  }
  out.device = view(*found);
  co_return out;
}

io::task<std::optional<error>> devices::tell_broker(device_credentials d, bool kick) {
  if (!gateway_) co_return std::nullopt;
  const std::string id = d.id;
  auto told = co_await gateway_->set_device(std::move(d));
  if (told && kick) told = co_await gateway_->kick(id);
  if (told) co_return std::nullopt;
  spdlog::warn("device {}: the broker could not be told: {}", id, told.error().message());
  co_return told.error();
}

io::task<result<void>> devices::tell_again(std::string id) {
  const auto found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  device_credentials same{id, found->second.token_sha256, found->second.is_blocked()};
  auto failure = co_await tell_broker(std::move(same), false);
  if (failure) co_return fail(std::move(*failure));
  co_return result<void>();
}

result<void> devices::check_active(std::string_view id) const {
  const auto found = all_.find(id);
  if (found == all_.end() || found->second.is_blocked()) return fail(refusal_of_device(found != all_.end()));
  return {};
}

std::vector<device_credentials> devices::all_credentials(std::string_view after, std::size_t limit) const {
  std::vector<device_credentials> out;
  for (auto at = all_.upper_bound(after); at != all_.end() && out.size() < limit; ++at)
    out.push_back({at->first, at->second.token_sha256, at->second.is_blocked()});
  return out;
}

bool devices::token_matches(std::string_view id, const secret& token) const {
  const auto found = all_.find(id);
  const std::string nobody(64, '0');
  const auto& expected = found == all_.end() ? nobody : found->second.token_sha256;
  return equal_in_constant_time(to_hex(sha256(token.reveal())), expected) && found != all_.end();
}

devices::counts devices::count() const {
  counts out{all_.size(), 0};
  for (const auto& [id, e] : all_) out.blocked += e.is_blocked();
  return out;
}

}  // namespace evp::backend
