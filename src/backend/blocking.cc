#include "backend/blocking.h"

#include "base/names.h"

namespace evp::backend {
namespace {

/// That there is something of that name.
result<void> find_named(const backend& all, const block& b) {
  switch (b.kind) {
    case block_kind::service: return all.services.get(b.name).map([](const auto&) {});
    case block_kind::module_file: return all.modules.get(b.name).map([](const auto&) {});
    case block_kind::instance: break;
  }
  if (auto ok = check_scoped_name(b.name, "an instance name"); !ok)
    return fail(std::move(std::move(ok).error()).at("name"));
  return {};
}

std::string_view object_of(block_kind k) {
  constexpr std::string_view objects[] = {kind::service, kind::module_file, kind::instance};
  return objects[std::size_t(k)];
}

/// The roll call of a block that was made, or of a drill.
io::task<result<std::vector<replica_answer>>> ask_all(backend& all, std::string device, bool drill,
                                                      audit_record record) {
  std::optional<audit_record> note;
  if (drill) note = std::move(record);
  auto outcome = co_await all.roll_calls.call(std::move(device), std::move(note));
  co_return outcome;
}

/// A failure of the storage is no failure of the block.
io::task<result<lever_report>> pull_lever(backend& all, std::string service, block_manner how, origin by) {
  lever_report out;
  CO_TRY(out.lever, all.services.lever(service));
  if (!how.vendor || how.drill) co_return out;
  const auto done = co_await all.services.end_grants(service, by);
  out.pulled = done.has_value();
  if (done) co_return out;
  out.failure = done.error();
  all.audit.refused(by, action::service_end_grants, kind::service, service, done.error().code());
  co_return out;
}

}  // namespace

io::task<result<block_report>> block_it(backend& all, block b, block_manner how, origin by) {
  CO_CHECK(find_named(all, b));
  if (!b.device.empty() && !all.devices.exists(b.device))
    co_return fail(errc::not_found, "device", "there is no device of that id");
  auto record = all.roll_calls.drill_note(by, object_of(b.kind), b.name, b.device.empty() ? "" : "device=" + b.device);
  auto again = by;
  if (!how.drill) CO_CHECK(co_await all.blocks.add(b, std::move(by)));
  block_report out;
  if (how.drill || how.replicas) { CO_TRY(out.replicas, co_await ask_all(all, "", how.drill, std::move(record))); }
  if (b.kind == block_kind::service) { CO_TRY(out.vendor, co_await pull_lever(all, b.name, how, std::move(again))); }
  CO_TRY(out.grants, co_await all.blocks.live(std::move(b)));
  co_return out;
}

io::task<result<void>> unblock_it(backend& all, block b, origin by) {
  const auto there = find_named(all, b);
  CO_TRY(const bool lifted, co_await all.blocks.remove(b, std::move(by)));
  if (lifted) co_return result<void>();
  if (!there) co_return fail(there.error());
  if (b.kind == block_kind::instance) co_return fail(errc::not_found, "there is no such block");
  co_return result<void>();
}

io::task<result<blocked_device_report>> block_device(backend& all, std::string id, block_manner how, origin by) {
  blocked_device_report out;
  auto record = all.roll_calls.drill_note(by, kind::device, id);
  if (how.drill) {
    CO_TRY(out.change.device, all.devices.get(id));
  } else {
    CO_TRY(out.change, co_await all.devices.block(id, std::move(by)));
  }
  if (how.drill || how.replicas) { CO_TRY(out.rest.replicas, co_await ask_all(all, id, how.drill, std::move(record))); }
  CO_TRY(out.rest.grants, co_await all.ledger.live(std::move(id)));
  co_return out;
}

}  // namespace evp::backend
