#include "sql/keys_store.h"

namespace evp::sql {

result<std::optional<std::string>> find_key(connection& c, const std::string& name) {
  TRY(const auto found, c.query("SELECT sealed FROM keys WHERE name = :name", {{"name", name}}));
  if (found.empty()) return std::nullopt;
  return found[0].text("sealed");
}

result<std::string> insert_key_if_missing(connection& c, const std::string& name, const std::string& sealed) {
  CHECK(c.execute("INSERT INTO keys (name, sealed) VALUES (:name, :sealed) ON CONFLICT (name) DO NOTHING",
                  {{"name", name}, {"sealed", sealed}}));
  TRY(auto stored, find_key(c, name));
  if (!stored) return fail(errc::internal, "keys: the row that was just written is missing");
  return *std::move(stored);
}

}  // namespace evp::sql
