// Ends what a service has granted at the storage itself, by the vendor's lever.
#include <algorithm>

#include "backend/key_rotation.h"
#include "backend/services.h"
#include "sql/changes_store.h"

namespace evp::backend {
namespace {

constexpr milliseconds lever_limit{20'000};

}  // namespace

io::task<result<void>> services::end_grants(std::string name, origin by) {
  CO_CHECK(get(name));
  const auto live = by_name_.find(name)->second;
  const auto done = co_await io::with_deadline(live->driver->end_grants(), lever_limit, "the storage's lever");
  if (!done) co_return fail(done.error());
  auto record = done_now(context_.clock, by, action::service_end_grants, kind::service, name);
  std::function<result<void>(sql::connection&)> renew =
      [record, id = live->view.id, key = context_.seals.id(),
       now = context_.clock.now().time_since_epoch().count()](sql::connection& c) -> result<void> {
    CHECK(sql::check_master_key_id(c, key));  // the row is written with its secrets as they were read
    TRY(auto rows, sql::list_services(c));
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.id == id; });
    c.note(record);
    if (row == rows.end()) return {};  // removed meanwhile
    ++row->revision;
    row->updated_at = now;
    sql::note_change(c, "service", row->name);
    return sql::update_service(c, *row);
  };
  CO_CHECK(co_await context_.db.run<void>(std::move(renew)));
  auto taken = co_await refresh();
  co_return taken;
}

result<std::optional<storage::vendor_lever>> services::lever(std::string_view name) const {
  CHECK(get(name));
  return by_name_.find(name)->second->driver->lever();
}

}  // namespace evp::backend
