#include "backend/hooks.h"

#include <fmt/format.h>

#include "backend/key_rotation.h"
#include "backend/lines.h"
#include "backend/service_checks.h"
#include "backend/unix_ms.h"
#include "base/encoding.h"
#include "base/names.h"
#include "sql/changes_store.h"
#include "sql/hooks_store.h"
#include "storage/endpoint.h"

namespace evp::backend {
namespace {

std::string key_context(const std::string& name) { return seal_context({sql::sealed_place::kind::hook, name, ""}); }

hook_view view_of(sql::hook_row r) {
  hook_view out;
  out.name = std::move(r.name);
  out.url = std::move(r.url);
  out.certificate = std::move(r.certificate);
  out.services = from_lines(r.services);
  out.states = from_lines(r.states);
  out.created_at = from_ms(r.created_at);
  out.updated_at = from_ms(r.updated_at);
  out.pending = std::uint64_t(r.pending);
  out.delivered = std::uint64_t(r.delivered);
  out.given_up = std::uint64_t(r.given_up);
  if (r.delivered_at != 0) out.delivered_at = from_ms(r.delivered_at);
  if (!r.last_error.empty()) out.last_error = {std::move(r.last_error), from_ms(r.last_error_at)};
  if (!r.given_up_reason.empty()) out.last_given_up = {std::move(r.given_up_reason), from_ms(r.given_up_at)};
  return out;
}

tl::unexpected<error> no_hook(std::string_view name) {
  return fail(errc::not_found, fmt::format("there is no hook \"{}\"", local_name(name).substr(0, 64)));
}

result<void> check_filters(const hook_input& in) {
  if (in.services.size() > hooks::max_filter_names || in.states.size() > hooks::max_filter_names)
    return fail(errc::invalid_argument, in.services.size() > hooks::max_filter_names ? "services" : "states",
                fmt::format("at most {} names", hooks::max_filter_names));
  for (const auto& s : in.services)
    if (auto ok = check_name(s, "the service"); !ok) return fail(std::move(std::move(ok).error()).at("services"));
  for (const auto& s : in.states) {
    const auto state = upload_state_from_string(s);
    if (!state || *state == upload_state::issued)
      return fail(errc::invalid_argument, "states", "states must be of uploaded, verified, failed and expired");
  }
  return {};
}

}  // namespace

io::task<result<void>> hooks::load() {
  std::function<result<std::vector<sql::hook_row>>(sql::connection&)> read = sql::list_hooks;
  CO_TRY(const auto rows, co_await context_.db.run<std::vector<sql::hook_row>>(std::move(read)));
  decltype(live_) live;
  for (const auto& row : rows) {
    auto key = context_.seals.open_sealed(row.sealed_secret, key_context(row.name));
    if (!key) co_return fail(std::move(std::move(key).error()).during("hook " + row.name));
    live[row.name] = std::make_shared<live_hook>(live_hook{row.url, row.certificate, std::move(*key)});
  }
  live_ = std::move(live);
  context_.outbox.notify();
  co_return result<void>();
}

io::task<result<std::vector<std::string>>> hooks::check(hook_input in) const {
  auto place = storage::parse_url(in.url);
  if (!place) co_return fail(std::move(std::move(place).error()).at("url"));
  if (place->scheme != "https" && !place->is_local_or_ip())
    co_return fail(errc::invalid_argument, "url", "url must be https: what it is told names your objects");
  const auto& key = in.key.reveal();
  if (key.size() < min_key_bytes || key.size() > max_key_bytes || !is_utf8(key) || has_control_characters(key))
    co_return fail(errc::invalid_argument, "secret",
                   fmt::format("secret must have {} to {} characters: make it with openssl rand -hex 32", min_key_bytes,
                               max_key_bytes));
  CO_CHECK(check_certificate(in.certificate));
  CO_CHECK(check_filters(in));
  std::vector<std::string> warnings;
  if (!context_.check_endpoint) co_return warnings;
  auto judged = co_await context_.check_endpoint(in.url);
  if (!judged) co_return fail(std::move(std::move(judged).error()).at("url"));
  if (!judged->empty()) warnings.push_back(std::move(*judged));
  co_return warnings;
}

io::task<result<saved_hook>> hooks::put(std::string name, hook_input in, origin by) {
  if (auto ok = check_scoped_name(name, "name"); !ok) co_return fail(std::move(std::move(ok).error()).at("name"));
  CO_TRY(auto warnings, co_await check(in));
  if (!live_.contains(name) && live_.size() >= max_hooks)
    co_return fail(errc::too_large, fmt::format("there are {} hooks already, more are not possible", max_hooks));
  const auto now = context_.clock.now().time_since_epoch().count();
  sql::hook_row row;
  row.name = name;
  row.url = in.url;
  row.sealed_secret = context_.seals.seal(in.key, key_context(name));
  row.certificate = in.certificate;
  row.services = to_lines(in.services);
  row.states = to_lines(in.states);
  row.created_at = row.updated_at = now;
  auto is_new = std::make_shared<bool>(false);
  auto note = done_now(context_.clock, by, action::hook_set, kind::hook, name);
  std::function<result<sql::hook_row>(sql::connection&)> store =
      [row, is_new, note, key = context_.seals.id()](sql::connection& c) -> result<sql::hook_row> {
    CHECK(sql::check_master_key_id(c, key));
    sql::note_change(c, "hook", row.name);
    return sql::put_hook(c, row).and_then([&](bool fresh) -> result<sql::hook_row> {
      c.note(note);
      *is_new = fresh;
      TRY(auto stored, sql::find_hook(c, row.name));
      return *std::move(stored);
    });
  };
  CO_TRY(auto stored, co_await context_.db.run<sql::hook_row>(std::move(store)));
  live_[name] = std::make_shared<live_hook>(live_hook{in.url, in.certificate, in.key});
  context_.outbox.notify();
  saved_hook out;
  out.hook = view_of(std::move(stored));
  out.is_new = *is_new;
  out.warnings = std::move(warnings);
  co_return out;
}

io::task<result<hook_view>> hooks::get(std::string name) {
  std::function<result<std::optional<sql::hook_row>>(sql::connection&)> read = [name](sql::connection& c) {
    return sql::find_hook(c, name);
  };
  CO_TRY(auto row, co_await context_.db.run<std::optional<sql::hook_row>>(std::move(read)));
  if (!row) co_return no_hook(name);
  co_return view_of(*std::move(row));
}

io::task<result<std::vector<hook_view>>> hooks::list(std::string tenant) {
  std::function<result<std::vector<sql::hook_row>>(sql::connection&)> read = sql::list_hooks;
  CO_TRY(auto rows, co_await context_.db.run<std::vector<sql::hook_row>>(std::move(read)));
  std::vector<hook_view> out;
  for (auto& r : rows)
    if (tenant_of(r.name) == tenant) out.push_back(view_of(std::move(r)));
  co_return out;
}

io::task<result<hooks::totals>> hooks::count() {
  std::function<result<std::vector<sql::hook_row>>(sql::connection&)> read = sql::list_hooks;
  CO_TRY(const auto rows, co_await context_.db.run<std::vector<sql::hook_row>>(std::move(read)));
  totals out;
  for (const auto& r : rows) {
    out.pending += std::uint64_t(r.pending);
    out.delivered += std::uint64_t(r.delivered);
    out.given_up += std::uint64_t(r.given_up);
  }
  co_return out;
}

io::task<result<void>> hooks::remove(std::string name, origin by) {
  std::function<result<bool>(sql::connection&)> drop =
      [name, note = done_now(context_.clock, by, action::hook_remove, kind::hook, name)](sql::connection& c) {
        sql::note_change(c, "hook", name);
        return noted(c, note, sql::remove_hook(c, name));
      };
  CO_TRY(const bool removed, co_await context_.db.run<bool>(std::move(drop)));
  live_.erase(name);
  context_.outbox.notify();
  if (!removed) co_return no_hook(name);
  co_return result<void>();
}

std::shared_ptr<const live_hook> hooks::find(std::string_view name) const {
  const auto found = live_.find(name);
  return found == live_.end() ? nullptr : found->second;
}

std::vector<std::string> hooks::names() const {
  std::vector<std::string> out;
  for (const auto& [name, h] : live_) out.push_back(name);
  return out;
}

}  // namespace evp::backend
