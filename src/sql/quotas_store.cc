#include "sql/quotas_store.h"

namespace evp::sql {

result<grant_count> find_grant_count(connection& c, const std::string& device) {
  const std::string text("SELECT minute, grants, day, bytes FROM grant_counts WHERE device = :device");
  TRY(const auto found, c.query(text + std::string(c.for_update()), {{"device", device}}));
  if (found.empty()) return grant_count();
  const auto& r = found[0];
  return grant_count{r.integer("minute"), r.integer("grants"), r.integer("day"), r.integer("bytes")};
}

result<void> put_grant_count(connection& c, const std::string& device, const grant_count& n) {
  CHECK(c.execute(
      "INSERT INTO grant_counts (device, minute, grants, day, bytes) VALUES (:device, :minute, :grants, :day, "
      ":bytes) ON CONFLICT (device) DO UPDATE SET minute = excluded.minute, grants = excluded.grants, "
      "day = excluded.day, bytes = excluded.bytes",
      {{"device", device}, {"minute", n.minute}, {"grants", n.grants}, {"day", n.day}, {"bytes", n.bytes}}));
  return {};
}

result<void> add_counted_bytes(connection& c, const std::string& device, std::int64_t day, std::int64_t bytes) {
  CHECK(
      c.execute("UPDATE grant_counts SET bytes = CASE WHEN bytes + :more < 0 THEN 0 ELSE bytes + :also END "
                "WHERE device = :device AND day = :day",
                {{"more", bytes}, {"also", bytes}, {"device", device}, {"day", day}}));
  return {};
}

}  // namespace evp::sql
