#include "backend/states.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "sql/states_store.h"

namespace evp::backend {
namespace {

constexpr std::size_t flush_batch = 200;   // devices in one closure
constexpr std::int64_t load_page = 5'000;  // reports in memory beside what is made of them

std::string_view name_of(const std::optional<wire::dialect>& d) {
  if (!d) return "";
  return *d == wire::dialect::evp1 ? "EVP1" : "EVP2-TB";
}
std::optional<wire::dialect> dialect_named(std::string_view text) {
  if (text == "EVP1") return wire::dialect::evp1;
  if (text == "EVP2-TB") return wire::dialect::evp2;
  return std::nullopt;
}
std::int64_t to_ms(const std::optional<timestamp>& t) { return t ? t->time_since_epoch().count() : 0; }

struct written {
  sql::report_row report;
  std::vector<sql::state_row> states;
};

struct loaded {
  std::vector<sql::report_row> reports;
  std::vector<sql::state_row> states;
};

written rows_of(const std::string& device, const device_state& s) {
  written out;
  out.report = {device,      std::string(name_of(s.dialect)), s.system_info,   s.deployment_status,
                s.telemetry, to_ms(s.telemetry_at),           to_ms(s.seen_at)};
  for (const auto& [key, v] : s.states)
    out.states.push_back({device, key, v.value, v.updated_at.time_since_epoch().count()});
  return out;
}

}  // namespace

io::task<result<void>> states::load() {
  std::string after;
  for (bool more = true; more;) {
    std::function<result<loaded>(sql::connection&)> read = [after](sql::connection& c) -> result<loaded> {
      loaded out;
      TRY(out.reports, sql::list_reports_after(c, after, load_page));
      if (out.reports.empty()) return out;
      TRY(out.states, sql::list_states_between(c, out.reports.front().device, out.reports.back().device));
      return out;
    };
    CO_TRY(auto rows, co_await db_.run<loaded>(std::move(read)));
    more = std::int64_t(rows.reports.size()) == load_page;
    if (more) after = rows.reports.back().device;
    for (auto& r : rows.reports) {
      auto& s = all_[std::move(r.device)];
      s.dialect = dialect_named(r.dialect);
      s.system_info = std::move(r.system_info);
      s.deployment_status = std::move(r.deployment_status);
      s.telemetry = std::move(r.telemetry);
      if (r.telemetry_at != 0) s.telemetry_at = timestamp(milliseconds(r.telemetry_at));
      if (r.updated_at != 0) s.seen_at = s.seen_stored_at = timestamp(milliseconds(r.updated_at));
    }
    for (auto& one : rows.states) {
      const auto of = all_.find(one.device);
      if (of != all_.end())
        of->second.states[one.key] = {std::move(one.value), timestamp(milliseconds(one.updated_at))};
    }
  }
  co_return result<void>();
}

device_state& states::seen(const std::string& device) {
  auto& s = all_[device];
  s.seen_at = clock_.now();
  if (!s.seen_stored_at || *s.seen_at - *s.seen_stored_at >= store_seen_every) dirty_.insert(device);
  return s;
}

void states::on_presence(const std::string& device, bool online) {
  if (online) {
    seen(device).online = true;
  } else if (const auto known = all_.find(device); known != all_.end()) {
    known->second.online = false;  // nothing was heard of it
  }
}

void states::on_message(const std::string& device, std::optional<wire::dialect> d) {
  auto& s = seen(device);
  s.online = true;
  if (!d || s.dialect == d) return;
  s.dialect = d;
  dirty_.insert(device);
}

void states::on_attributes(const std::string& device, wire::client_attributes a) {
  auto& s = seen(device);
  dirty_.insert(device);
  s.online = true;
  if (a.protocol) s.dialect = a.protocol;
  const auto keep = [&](std::string& where, std::optional<std::string>& what) {
    if (!what) return;
    if (what->size() > max_text_bytes) {
      ++dropped_;
      return;
    }
    where = std::move(*what);
  };
  keep(s.system_info, a.system_info);
  keep(s.deployment_status, a.deployment_status);

  std::size_t bytes = 0;
  for (const auto& [key, v] : s.states) bytes += key.size() + v.value.size();
  for (auto& [key, value] : a.states) {
    const auto old = s.states.find(key);
    const std::size_t before = old == s.states.end() ? 0 : key.size() + old->second.value.size();
    const std::size_t after = bytes - before + key.size() + value.size();
    if (after > max_state_bytes || (old == s.states.end() && s.states.size() >= max_states)) {
      ++dropped_;
      continue;
    }
    bytes = after;
    s.states[key] = {std::move(value), clock_.now()};
  }
}

void states::on_telemetry(const std::string& device, std::string json) {
  auto& s = seen(device);
  dirty_.insert(device);
  s.online = true;
  if (json.size() > max_text_bytes) {
    ++dropped_;
    return;
  }
  s.telemetry = std::move(json);
  s.telemetry_at = clock_.now();
}

void states::forget(const std::string& device) {
  all_.erase(device);
  dirty_.erase(device);
}

bool states::online(std::string_view device) const {
  const auto found = all_.find(device);
  return found != all_.end() && found->second.online;
}

wire::dialect states::dialect_of(std::string_view device) const {
  const auto found = all_.find(device);
  return found == all_.end() ? wire::dialect::evp2 : found->second.dialect.value_or(wire::dialect::evp2);
}

io::task<result<device_state>> states::get(std::string device) const {
  const auto found = all_.find(device);
  if (found == all_.end()) co_return device_state();
  co_return found->second;
}

io::task<result<void>> states::flush() {
  while (!dirty_.empty()) {
    auto batch = std::make_shared<std::vector<written>>();
    std::vector<std::string> taken;
    while (!dirty_.empty() && taken.size() < flush_batch) {
      const auto first = dirty_.begin();
      const auto found = all_.find(*first);
      if (found != all_.end()) {
        batch->push_back(rows_of(*first, found->second));
        found->second.seen_stored_at = found->second.seen_at;
      }
      taken.push_back(*first);
      dirty_.erase(first);
    }
    std::function<result<void>(sql::connection&)> write = [batch](sql::connection& c) -> result<void> {
      for (const auto& w : *batch) {
        CHECK(sql::put_report(c, w.report));
        CHECK(sql::put_states(c, w.report.device, w.states));
      }
      return {};
    };
    const auto done = co_await db_.run<void>(std::move(write));
    if (done) continue;
    dirty_.insert(taken.begin(), taken.end());
    co_return fail(done.error());
  }
  co_return result<void>();
}

io::task<void> states::flush_forever(std::function<bool()> leads) {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (;;) {
    const bool slept = co_await io::sleep_for(flush_every);
    if (!slept) co_return;
    if (!leads()) continue;
    const auto done = co_await flush();
    if (!done) spdlog::error("what devices report cannot be stored: {}", done.error().message());
  }
}

std::size_t states::online_count() const noexcept {
  return std::size_t(std::count_if(all_.begin(), all_.end(), [](const auto& s) { return s.second.online; }));
}

}  // namespace evp::backend
