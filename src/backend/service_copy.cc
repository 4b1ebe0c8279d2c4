// A service takes over another one's configuration: the end of a change of provider.
#include <algorithm>

#include "backend/key_rotation.h"
#include "backend/services.h"
#include "base/names.h"
#include "sql/changes_store.h"

namespace evp::backend {
namespace {

const sql::service_row* find_row(const std::vector<sql::service_row>& rows, std::string_view name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

std::string place_of(const std::string& service_id, const std::string& option) {
  return seal_context({sql::sealed_place::kind::service_option, service_id, option});
}

/// The row of `from` with the configuration of `other`; its secrets are sealed for their new place.
result<sql::service_row> with_configuration(const sql::service_row& from, const sql::service_row& other,
                                            const sealer& seals, timestamp now) {
  auto out = other;
  out.id = from.id;
  out.name = from.name;
  out.revision = from.revision + 1;
  out.created_at = from.created_at;
  out.updated_at = now.time_since_epoch().count();
  for (auto& o : out.options) {
    if (!o.is_secret) continue;
    TRY(const auto plain, seals.open_sealed(o.text, place_of(other.id, o.name)));
    o.text = seals.seal(plain, place_of(from.id, o.name));
  }
  return out;
}

}  // namespace

io::task<result<void>> services::take_configuration(std::string name, std::string other,
                                                    std::function<result<void>(sql::connection&)> also) {
  std::function<result<std::vector<sql::service_row>>(sql::connection&)> read = sql::list_services;
  CO_TRY(const auto rows, co_await context_.db.run<std::vector<sql::service_row>>(std::move(read)));
  const auto *from = find_row(rows, name), *to = find_row(rows, other);
  if (!from || !to)
    co_return fail(errc::not_found, "there is no storage access service \"" +
                                        std::string(local_name(from ? other : name)) + "\" any more");
  CO_TRY(const auto row, with_configuration(*from, *to, context_.seals, context_.clock.now()));
  std::function<result<void>(sql::connection&)> store =
      [row, also = std::move(also), id = to->id, revision = to->revision,
       key = context_.seals.id()](sql::connection& c) -> result<void> {
    CHECK(sql::check_master_key_id(c, key));
    CHECK(also(c));
    TRY(const bool current, sql::is_current_service(c, id, revision));
    if (!current)
      return fail(errc::failed_precondition, "the other storage access service was changed meanwhile: try again");
    sql::note_change(c, "service", row.name);
    return sql::update_service(c, row);
  };
  CO_CHECK(co_await context_.db.run<void>(std::move(store)));
  auto taken = co_await refresh();
  co_return taken;
}

}  // namespace evp::backend
