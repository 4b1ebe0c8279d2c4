#include "backend/blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/live_grants.h"
#include "backend/unix_ms.h"
#include "base/names.h"
#include "sql/changes_store.h"
#include "sql/deployments_store.h"
#include "wire/messages.h"

namespace evp::backend {
namespace {

constexpr std::size_t manifests_at_once = 200;  // in one read: others want the database too

struct naming {
  block_kind kind;
  std::string_view text, object, on, off;
};
constexpr naming namings[] = {
    {block_kind::service, "service", kind::service, action::service_block, action::service_unblock},
    {block_kind::module_file, "module", kind::module_file, action::module_block, action::module_unblock},
    {block_kind::instance, "instance", kind::instance, action::instance_block, action::instance_unblock},
};

const naming& naming_of(block_kind k) noexcept { return namings[std::size_t(k)]; }

block_kind kind_of(std::string_view text) {
  const auto found =
      std::find_if(std::begin(namings), std::end(namings), [&](const auto& n) { return n.text == text; });
  return found == std::end(namings) ? block_kind::service : found->kind;
}

sql::block_row to_row(const block& b) { return {std::string(to_string(b.kind)), b.name, b.device, 0, ""}; }

block_view from_row(const sql::block_row& r) {
  return {block{kind_of(r.kind), r.name, r.device}, from_ms(r.at), r.actor};
}

error refusal(block_kind kind, std::string_view name) {
  constexpr std::string_view what[] = {"storage", "module", "module instance"};
  return {errc::permission_denied, fmt::format("the {} \"{}\" is blocked", what[std::size_t(kind)], local_name(name))};
}

/// The module of that instance in a stored manifest, as its tenant's; empty: the manifest has no such instance.
result<std::string> module_of(const std::string& manifest, std::string_view device, const std::string& instance) {
  TRY(const auto d, wire::decode_deployment(manifest));
  const auto found = d.instances.find(instance);
  if (found == d.instances.end()) return std::string();
  return scoped_name(tenant_of(device), found->second.module_id);
}

audit_record note_of(const io::clock& clock, const origin& by, const block& b, bool on) {
  const auto& n = naming_of(b.kind);
  return done_now(clock, by, on ? n.on : n.off, n.object, b.name, b.device.empty() ? "" : "device=" + b.device);
}

}  // namespace

std::string_view to_string(block_kind k) noexcept { return naming_of(k).text; }

result<void> check_blocks(sql::connection& c, const sql::upload_row& u) {
  TRY(const auto found, sql::find_blocks(c, u));
  if (!found.empty()) return fail(refusal(kind_of(found.front().kind), found.front().name));
  TRY(const auto modules, sql::find_blocked_modules(c, u.device));
  if (modules.empty()) return {};
  TRY(const auto manifest, sql::find_deployment(c, u.device));
  if (!manifest) return {};
  TRY(const auto module, module_of(*manifest, u.device, u.instance));
  if (std::find(modules.begin(), modules.end(), module) == modules.end()) return {};
  return fail(refusal(block_kind::module_file, module));
}

io::task<result<void>> blocks::load() {
  std::function<result<std::vector<sql::block_row>>(sql::connection&)> read = sql::list_blocks;
  CO_TRY(const auto rows, co_await db_.run<std::vector<sql::block_row>>(std::move(read)));
  decltype(all_) all;
  for (const auto& r : rows) {
    auto view = from_row(r);
    all.emplace(view.what, view);
  }
  all_ = std::move(all);
  co_return result<void>();
}

io::task<result<block_view>> blocks::add(block b, origin by) {
  auto row = to_row(b);
  row.at = to_ms(clock_.now());
  row.actor = by.actor;
  std::function<result<bool>(sql::connection&)> insert =
      [row, note = note_of(clock_, by, b, true)](sql::connection& c) -> result<bool> {
    TRY(const bool fresh, sql::insert_block(c, row, max_blocks));
    if (fresh) sql::note_change(c, "block", row.name);
    return noted(c, note, result<bool>(fresh));
  };
  CO_TRY(const bool fresh, co_await db_.run<bool>(std::move(insert)));
  if (!fresh && !all_.contains(b)) CO_CHECK(co_await load());  // another backend's, not heard of yet
  if (fresh) all_[b] = from_row(row);
  const auto found = all_.find(b);
  if (found == all_.end()) co_return fail(errc::unavailable, "the block was lifted meanwhile: block again");
  co_return found->second;
}

io::task<result<bool>> blocks::remove(block b, origin by) {
  std::function<result<bool>(sql::connection&)> drop =
      [row = to_row(b), note = note_of(clock_, by, b, false)](sql::connection& c) -> result<bool> {
    TRY(const bool removed, sql::remove_block(c, row));
    if (removed) sql::note_change(c, "block", row.name);
    return noted(c, note, result<bool>(removed));
  };
  CO_TRY(const bool removed, co_await db_.run<bool>(std::move(drop)));
  all_.erase(b);
  co_return removed;
}

std::vector<block_view> blocks::list(std::string_view tenant) const {
  std::vector<block_view> out;
  for (const auto& [b, view] : all_)
    if (tenant_of(b.name) == tenant) out.push_back(view);
  return out;
}

result<void> blocks::check(const std::string& service, const std::string& device, const std::string& instance) const {
  if (all_.empty()) return {};
  if (has({block_kind::service, service, ""})) return fail(refusal(block_kind::service, service));
  const auto scoped = scoped_name(tenant_of(device), instance);
  if (!scoped) return {};  // no name that a block could have
  const bool blocked = has({block_kind::instance, *scoped, ""}) || has({block_kind::instance, *scoped, device});
  if (blocked) return fail(refusal(block_kind::instance, instance));
  return {};
}

io::task<result<live_grants>> blocks::live(block b) {
  using found = std::vector<sql::instance_grants_row>;
  std::function<result<found>(sql::connection&)> read =
      [row = to_row(b), now = to_ms(clock_.now())](sql::connection& c) { return sql::list_live_grants(c, row, now); };
  CO_TRY(auto rows, co_await db_.run<found>(std::move(read)));
  if (b.kind == block_kind::module_file) {
    auto outcome = co_await live_of_module(std::move(b), std::move(rows));
    co_return outcome;
  }
  live_grants sum;
  for (const auto& r : rows) add_to(sum, r.grants);
  co_return sum;
}

io::task<result<live_grants>> blocks::live_of_module(block b, std::vector<sql::instance_grants_row> rows) {
  using manifests = std::map<std::string, std::string>;
  live_grants sum;
  for (auto at = rows.begin(); at != rows.end();) {
    std::vector<std::string> some;
    auto end = at;
    for (; end != rows.end(); ++end) {
      if (!some.empty() && some.back() == end->device) continue;
      if (some.size() == manifests_at_once) break;
      some.push_back(end->device);
    }
    std::function<result<manifests>(sql::connection&)> read = [some](sql::connection& c) -> result<manifests> {
      manifests out;
      for (const auto& device : some) {
        TRY(auto manifest, sql::find_deployment(c, device));
        if (manifest) out[device] = std::move(*manifest);
      }
      return out;
    };
    CO_TRY(const auto of, co_await db_.run<manifests>(std::move(read)));
    for (; at != end; ++at) {
      const auto manifest = of.find(at->device);
      if (manifest == of.end()) continue;
      const auto module = module_of(manifest->second, at->device, at->instance);
      if (module && *module == b.name) add_to(sum, at->grants);
    }
  }
  co_return sum;
}

}  // namespace evp::backend
