#include "backend/device_groups.h"

#include <fmt/format.h>

#include "backend/unix_ms.h"
#include "base/encoding.h"
#include "base/names.h"
#include "sql/enrolment_store.h"

namespace evp::backend {
namespace {

group_view view_of(sql::group_row r) {
  return {std::move(r.name), std::move(r.description), from_ms(r.created_at), std::uint64_t(r.devices)};
}

tl::unexpected<error> no_group(std::string_view name) {
  return fail(errc::not_found, fmt::format("there is no device group \"{}\"", local_name(name).substr(0, 64)));
}

}  // namespace

io::task<result<saved_group>> device_groups::put(std::string name, std::string description, origin by) {
  if (auto ok = check_scoped_name(name, "name"); !ok) co_return fail(std::move(std::move(ok).error()).at("name"));
  if (description.size() > max_description_bytes || !is_utf8(description) || has_control_characters(description))
    co_return fail(errc::invalid_argument, "description",
                   fmt::format("description must be at most {} bytes of text in one line", max_description_bytes));
  sql::group_row row{name, std::move(description), to_ms(clock_.now())};
  std::function<result<saved_group>(sql::connection&)> store =
      [row,
       note = done_now(clock_, by, action::group_set, kind::group, name)](sql::connection& c) -> result<saved_group> {
    saved_group out;
    TRY(out.is_new, sql::put_group(c, row));
    TRY(const auto n, sql::count_groups(c));
    if (out.is_new && n > max_groups)
      return fail(errc::too_large, fmt::format("there are {} device groups already", max_groups));
    TRY(auto stored, sql::find_group(c, row.name));
    out.group = view_of(*std::move(stored));
    c.note(note);
    return out;
  };
  auto outcome = co_await db_.run<saved_group>(std::move(store));
  co_return outcome;
}

io::task<result<group_view>> device_groups::get(std::string name) {
  std::function<result<std::optional<sql::group_row>>(sql::connection&)> read = [name](sql::connection& c) {
    return sql::find_group(c, name);
  };
  CO_TRY(auto row, co_await db_.run<std::optional<sql::group_row>>(std::move(read)));
  if (!row) co_return no_group(name);
  co_return view_of(*std::move(row));
}

io::task<result<std::vector<group_view>>> device_groups::list(std::string tenant) {
  std::function<result<std::vector<sql::group_row>>(sql::connection&)> read = [tenant](sql::connection& c) {
    return sql::list_groups(c, tenant);
  };
  CO_TRY(auto rows, co_await db_.run<std::vector<sql::group_row>>(std::move(read)));
  std::vector<group_view> out;
  for (auto& r : rows) out.push_back(view_of(std::move(r)));
  co_return out;
}

io::task<result<void>> device_groups::remove(std::string name, origin by) {
  std::function<result<bool>(sql::connection&)> drop =
      [name, now = to_ms(clock_.now()),
       note = done_now(clock_, by, action::group_remove, kind::group, name)](sql::connection& c) -> result<bool> {
    CHECK(sql::forget_enrolment_tokens(c, now));  // an expired one shall not hold the group
    return noted(c, note, sql::remove_group(c, std::string(tenant_of(name)), name));
  };
  const auto removed = co_await db_.run<bool>(std::move(drop));
  if (!removed && removed.error().code() == errc::failed_precondition)
    co_return fail(errc::failed_precondition,
                   "devices are in this group, or enrolment tokens name it: put those into another first");
  if (!removed) co_return fail(removed.error());
  if (!*removed) co_return no_group(name);
  co_return result<void>();
}

}  // namespace evp::backend
