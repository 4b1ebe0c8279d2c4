#include "sql/changes_store.h"

namespace evp::sql {

void note_change(connection& c, std::string topic, std::string name) {
  c.at_end([topic = std::move(topic), name = std::move(name)](connection& last) -> result<void> {
    CHECK(last.execute("UPDATE change_sequence SET newest = newest + 1"));
    TRY(const auto number, find_newest_change(last));
    CHECK(last.execute("INSERT INTO changes (number, topic, name) VALUES (:number, :topic, :name)",
                       {{"number", number}, {"topic", topic}, {"name", name}}));
    CHECK(last.execute("DELETE FROM changes WHERE number <= :old", {{"old", number - max_changes}}));
    return last.announce();
  });
}

result<std::int64_t> find_newest_change(connection& c) {
  TRY(const auto found, c.query("SELECT newest FROM change_sequence"));
  return found.at(0).integer("newest");
}

result<change_list> list_changes(connection& c, std::int64_t after) {
  TRY(const auto newest, find_newest_change(c));
  change_list out;
  if (newest == after) return out;
  TRY(const auto found,
      c.query("SELECT number, topic, name FROM changes WHERE number > :after ORDER BY number", {{"after", after}}));
  for (const row& r : found) out.changes.push_back({r.integer("number"), r.text("topic"), r.text("name")});
  out.has_gap = newest < after || out.changes.empty() || out.changes.front().number != after + 1;
  return out;
}

}  // namespace evp::sql
