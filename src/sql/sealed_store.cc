#include "sql/sealed_store.h"

namespace evp::sql {
namespace {

using kind = sealed_place::kind;

/// A table with something sealed in it. `owner` and `name` are columns of its key; an empty `name` means there is none.
struct place {
  kind what;
  std::string_view table, owner, name, column, condition;
};
constexpr place places[] = {
    {kind::key, "keys", "name", "", "sealed", "TRUE"},
    {kind::service_option, "service_options", "service_id", "name", "value_text", "is_secret = 1"},
    {kind::hook, "hooks", "name", "", "sealed_secret", "TRUE"}};

std::string text(std::initializer_list<std::string_view> pieces) {
  std::string out;
  for (const auto p : pieces) out += p;
  return out;
}

}  // namespace

result<std::int64_t> replace_sealed(
    connection& c, const std::function<result<std::string>(const sealed_place&, const std::string&)>& make) {
  std::int64_t n = 0;
  for (const auto& p : places) {
    const auto second = p.name.empty() ? p.owner : p.name;
    TRY(const auto found, c.query(text({"SELECT ", p.owner, " AS owner_of, ", second, " AS name_of, ", p.column,
                                        " AS sealed_text FROM ", p.table, " WHERE ", p.condition})));
    for (const row& r : found) {
      sealed_place where{p.what, r.text("owner_of"), p.name.empty() ? "" : r.text("name_of")};
      TRY(const auto fresh, make(where, r.text("sealed_text")));
      parameters values{{"fresh", fresh}, {"owner", where.owner}};
      if (!p.name.empty()) values.push_back({"name", where.name});
      CHECK(c.execute(text({"UPDATE ", p.table, " SET ", p.column, " = :fresh WHERE ", p.owner, " = :owner",
                            p.name.empty() ? "" : " AND name = :name"}),
                      values));
      ++n;
    }
  }
  return n;
}

result<std::string> find_master_key_id(connection& c) {
  TRY(const auto found, c.query("SELECT key_id FROM master_key"));
  return found.empty() ? std::string() : found[0].text("key_id");
}

result<void> put_master_key_id(connection& c, const std::string& id) {
  CHECK(c.execute("DELETE FROM master_key"));
  CHECK(c.execute("INSERT INTO master_key (key_id) VALUES (:id)", {{"id", id}}));
  return {};
}

result<void> check_master_key_id(connection& c, const std::string& id) {
  const auto check = [id](connection& now) -> result<void> {
    TRY(const auto in_force, find_master_key_id(now));
    if (in_force.empty() || in_force == id) return {};
    return fail(errc::unavailable, "the master key has been changed by another backend: give this one the new key");
  };
  c.at_end(check);  // another program may be changing it at this moment: it does that at the end too
  return check(c);
}

}  // namespace evp::sql
