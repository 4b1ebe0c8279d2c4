#include "sql/modules_store.h"

namespace evp::sql {

result<std::vector<module_row>> list_modules(connection& c) {
  TRY(const auto found, c.query("SELECT id, size_bytes, sha256, created_at FROM modules ORDER BY id"));
  std::vector<module_row> out;
  out.reserve(found.size());
  for (const row& r : found)
    out.push_back({r.text("id"), r.integer("size_bytes"), r.text("sha256"), r.integer("created_at")});
  return out;
}

result<void> insert_module(connection& c, const module_row& m) {
  CHECK(c.execute("INSERT INTO modules (id, size_bytes, sha256, created_at) VALUES (:id, :size, :sha256, :created)",
                  {{"id", m.id}, {"size", m.size_bytes}, {"sha256", m.sha256}, {"created", m.created_at}}));
  return {};
}

result<bool> remove_module(connection& c, const std::string& id) {
  TRY(const auto removed, c.execute("DELETE FROM modules WHERE id = :id", {{"id", id}}));
  return removed > 0;
}

}  // namespace evp::sql
