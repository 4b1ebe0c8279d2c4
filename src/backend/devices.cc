#include "backend/devices.h"

#include <spdlog/spdlog.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/names.h"
#include "sql/devices_store.h"

namespace evp::backend {
namespace {

constexpr std::size_t token_characters = 32;  // of 5 random bits each: 160 bits

tl::unexpected<error> unknown_device() { return fail(errc::not_found, "there is no device of that id"); }

}  // namespace

device_view devices::view(const entries::value_type& e) { return {e.first, e.second.blocked, e.second.created_at}; }

io::task<result<void>> devices::load() {
  std::function<result<std::vector<sql::device_row>>(sql::connection&)> read = sql::list_devices;
  CO_TRY(auto rows, co_await db_.run<std::vector<sql::device_row>>(std::move(read)));
  all_.clear();
  for (auto& r : rows)
    all_.emplace_hint(all_.end(), std::move(r.id),
                      entry{std::move(r.token_sha256), r.blocked, timestamp(milliseconds(r.created_at))});
  co_return result<void>();
}

io::task<result<created_device>> devices::create(std::optional<std::string> id) {
  const std::string name = id ? *id : "device-" + random_id(12);
  if (auto ok = check_name(name, "a device's id"); !ok) co_return fail(std::move(std::move(ok).error()).at("id"));
  if (all_.contains(name))
    co_return fail(errc::already_exists, "id",
                   "there is a device of that id: choose another, or remove that one first");
  if (all_.size() >= max_devices) co_return fail(errc::too_large, "this backend's number of devices is reached");

  created_device out;
  out.token = secret(random_id(token_characters));
  out.device = device_view{name, false, clock_.now()};
  sql::device_row row{name, to_hex(sha256(out.token.reveal())), false,
                      out.device.created_at.time_since_epoch().count()};
  std::function<result<void>(sql::connection&)> insert = [row](sql::connection& c) {
    return sql::insert_device(c, row);
  };
  const auto stored = co_await db_.run<void>(std::move(insert));
  if (!stored && stored.error().code() == errc::already_exists)
    co_return fail(errc::already_exists, "id",
                   "there is a device of that id: choose another, or remove that one first");
  if (!stored) co_return fail(stored.error());

  all_[name] = entry{row.token_sha256, false, out.device.created_at};
  device_credentials told{name, row.token_sha256, false};
  (void)co_await tell_broker(std::move(told), false);
  co_return out;
}

result<page<device_view>> devices::list(const page_request& r) const {
  if (r.limit < 1 || r.limit > max_page)
    return fail(errc::invalid_argument, "limit", "limit must be 1 to " + std::to_string(max_page));
  page<device_view> out;
  auto at = r.cursor.empty() ? all_.begin() : all_.upper_bound(r.cursor);
  for (; at != all_.end() && out.items.size() < r.limit; ++at) out.items.push_back(view(*at));
  if (at != all_.end()) out.next_cursor = out.items.back().id;
  return out;
}

result<device_view> devices::get(std::string_view id) const {
  const auto found = all_.find(id);
  if (found == all_.end()) return unknown_device();
  return view(*found);
}

io::task<result<device_change>> devices::remove(std::string id) {
  const auto found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  device_change out;
  out.device = view(*found);
  out.device.blocked = true;
  found->second.blocked = true;  // nothing more is answered while the database works
  std::function<result<bool>(sql::connection&)> drop = [id](sql::connection& c) { return sql::remove_device(c, id); };
  CO_CHECK(co_await db_.run<bool>(std::move(drop)));
  all_.erase(id);
  if (gateway_) {
    const auto told = co_await gateway_->remove_device(id);
    if (!told) out.broker = told.error();
  }
  co_return out;
}

io::task<result<device_change>> devices::block(std::string id) { return set_blocked(std::move(id), true); }
io::task<result<device_change>> devices::unblock(std::string id) { return set_blocked(std::move(id), false); }

io::task<result<device_change>> devices::set_blocked(std::string id, bool blocked) {
  auto found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  device_credentials told{id, found->second.token_sha256, blocked};
  device_change out;
  if (blocked) {  // refuse at once; the disk comes after
    found->second.blocked = true;
    auto copy = told;
    out.broker = co_await tell_broker(std::move(copy), true);
  }
  std::function<result<void>(sql::connection&)> store = [id, blocked](sql::connection& c) {
    return sql::set_device_blocked(c, id, blocked);
  };
  CO_CHECK(co_await db_.run<void>(std::move(store)));
  found = all_.find(id);
  if (found == all_.end()) co_return unknown_device();
  if (!blocked) {
    found->second.blocked = false;
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

result<void> devices::check_active(std::string_view id) const {
  const auto found = all_.find(id);
  if (found == all_.end()) return fail(errc::permission_denied, "this device is not registered");
  if (found->second.blocked) return fail(errc::permission_denied, "this device is blocked");
  return {};
}

std::vector<device_credentials> devices::all_credentials() const {
  std::vector<device_credentials> out;
  out.reserve(all_.size());
  for (const auto& [id, e] : all_) out.push_back({id, e.token_sha256, e.blocked});
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
  for (const auto& [id, e] : all_) out.blocked += e.blocked;
  return out;
}

}  // namespace evp::backend
