#include "backend/key_rotation.h"

#include <algorithm>

#include "base/crypto.h"

namespace evp::backend {

std::string seal_context(const sql::sealed_place& where) {
  switch (where.what) {
    case sql::sealed_place::kind::service_option: return "service " + where.owner + " option " + where.name;
    case sql::sealed_place::kind::hook: return "hook " + where.owner;
    case sql::sealed_place::kind::key: break;
  }
  return "key " + where.owner;
}

namespace {

bool has_key(const master_keys& keys, const std::string& id) {
  return std::any_of(keys.begin(), keys.end(), [&](const secret& k) { return sealer({k}).id() == id; });
}

io::task<result<std::string>> key_in_force(sql::database& db) {
  std::function<result<std::string>(sql::connection&)> read = sql::find_master_key_id;
  auto found = co_await db.run<std::string>(std::move(read));
  co_return found;
}

}  // namespace

io::task<result<void>> use_key_in_force(sql::database& db, sealer& seals) {
  CO_TRY(const auto id, co_await key_in_force(db));
  if (id.empty()) co_return result<void>();
  auto keys = seals.keys();
  if (!has_key(keys, id))
    co_return fail(errc::data_corrupt,
                   "the database is under another master key: give this backend the one that is in force");
  std::stable_partition(keys.begin(), keys.end(), [&](const secret& k) { return sealer({k}).id() == id; });
  seals.use(std::move(keys));
  co_return result<void>();
}

io::task<result<rotated_key>> rotate_master_key(sql::database& db, sealer& seals, const master_key_source& source,
                                                audit_record note) {
  CO_TRY(auto keys, source.read());
  CO_TRY(const auto id, co_await key_in_force(db));
  if (!id.empty() && !has_key(keys, id))
    co_return fail(errc::failed_precondition,
                   "another backend has put a new master key in force: give this one its key first");
  const bool is_old = keys.front() == seals.keys().front();
  if (is_old && !source.is_own())
    co_return fail(
        errc::failed_precondition,
        "the source of the master key still gives the old one first: make it give the new key on the first line "
        "and the old one on the second, then try again");
  if (is_old) {
    keys.insert(keys.begin(), secret(random_bytes(32)));
    if (keys.size() > master_key_source::max_keys) keys.resize(master_key_source::max_keys);
    CO_CHECK(source.write(keys));  // before anything is wrapped by it
  }
  seals.use(keys);

  auto rewrapped = std::make_shared<std::int64_t>(0);
  std::function<result<void>(sql::connection&)> work = [s = seals, rewrapped,
                                                        note](sql::connection& c) -> result<void> {
    c.at_end([s, rewrapped](sql::connection& last) -> result<void> {
      const auto make = [&s](const sql::sealed_place& where, const std::string& sealed) {
        return s.rewrap(sealed, seal_context(where));
      };
      TRY(*rewrapped, sql::replace_sealed(last, make));
      return sql::put_master_key_id(last, s.id());
    });
    auto r = note;
    r.object_name = s.id();
    if (!r.action.empty()) c.note(std::move(r));
    return {};
  };
  CO_CHECK(co_await db.run<void>(std::move(work)));
  keys.resize(1);
  if (source.is_own()) CO_CHECK(source.write(keys));
  seals.use(std::move(keys));
  rotated_key out;
  out.id = seals.id();
  out.rewrapped = std::uint64_t(*rewrapped);
  co_return out;
}

}  // namespace evp::backend
