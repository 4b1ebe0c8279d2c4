#include "sql/events_store.h"

namespace evp::sql {
namespace {

/// The changes and, with the changes' own names apart, the rows that they are of. Conditions on both follow.
std::string selected() {
  return "SELECT sequence, changed_to, because, changed_at, " + std::string(upload_columns) +
         " FROM (SELECT sequence, grant_id AS change_of, state AS changed_to, reason AS because, at AS changed_at "
         "FROM upload_events) e JOIN uploads u ON u.grant_id = e.change_of WHERE ";
}

upload_event_row read(const row& r) {
  upload_event_row out{r.integer("sequence"), read_upload(r)};
  out.upload.state = r.text("changed_to");
  out.upload.reason = r.text("because");
  out.upload.updated_at = r.integer("changed_at");
  return out;
}

// What may be forgotten. Ids sort by the time of issue, which is never after that of the last change.
constexpr std::string_view forgettable =
    "FROM uploads WHERE grant_id < :before_id AND updated_at < :before AND expires_at < :before AND "
    "(state IN ('verified', 'failed', 'expired') OR (state = 'uploaded' AND verify = 'none')) AND NOT EXISTS "
    "(SELECT 1 FROM upload_events e JOIN hook_deliveries d ON d.sequence = e.sequence "
    "WHERE e.grant_id = uploads.grant_id)";

}  // namespace

// The states are names of columns too: those of upload_state, never a caller's text.
result<void> append_upload_event(connection& c, const std::string& grant_id, const std::string& before,
                                 const std::string& state, const std::string& reason, std::int64_t at) {
  auto text = "UPDATE event_sequence SET newest = newest + 1, " + state + " = " + state + " + 1";
  if (!before.empty()) text += ", " + before + " = " + before + " - 1";
  CHECK(c.execute(text));
  CHECK(
      c.execute("INSERT INTO upload_events (sequence, grant_id, state, reason, at) "
                "VALUES ((SELECT newest FROM event_sequence), :grant_id, :state, :reason, :at)",
                {{"grant_id", grant_id}, {"state", state}, {"reason", reason}, {"at", at}}));
  return {};
}

// First how far to look, then what passes the filter up to there: so a rare filter costs no more than a wide one.
result<event_page> list_upload_events(connection& c, const event_query& q) {
  TRY(const auto window, c.query("SELECT sequence FROM upload_events WHERE sequence > :after ORDER BY sequence "
                                 "LIMIT :limit",
                                 {{"after", q.after}, {"limit", q.limit}}));
  event_page out;
  out.position = window.empty() ? q.after : window.back().integer("sequence");
  out.more = std::int64_t(window.size()) == q.limit;
  if (window.empty()) return out;

  auto text = selected() + "sequence > :after AND sequence <= :until AND grant_id >= :from_id";
  parameters p{{"after", q.after}, {"until", out.position}, {"from_id", q.from_id}};
  const auto also = [&](std::string_view condition, std::string_view name, const std::optional<std::string>& v) {
    if (!v) return;
    text.append(" AND ").append(condition);
    p.push_back({name, *v});
  };
  if (q.tenant) text.append(" AND ").append(of_tenant(*q.tenant));
  also("device = :device", "device", q.device);
  also("service_name = :service", "service", q.service_name);
  also("changed_to = :state", "state", q.state);
  TRY(const auto found, c.query(text + " ORDER BY sequence", p));
  for (const row& r : found) out.events.push_back(read(r));
  return out;
}

result<std::optional<upload_event_row>> find_upload_event(connection& c, std::int64_t sequence) {
  TRY(const auto found, c.query(selected() + "sequence = :sequence", {{"sequence", sequence}}));
  if (found.empty()) return std::nullopt;
  return read(found[0]);
}

result<event_sequence> find_event_sequence(connection& c) {
  TRY(const auto found, c.query("SELECT newest, forgotten FROM event_sequence"));
  return event_sequence{found.at(0).integer("newest"), found.at(0).integer("forgotten")};
}

result<std::vector<upload_count>> count_uploads(connection& c) {
  TRY(const auto found, c.query("SELECT issued, uploaded, verified, failed, expired FROM event_sequence"));
  std::vector<upload_count> out;
  for (const auto& [state, n] : found.at(0).columns) out.push_back({state, found[0].integer(state)});
  return out;
}

result<std::int64_t> find_reader(connection& c, const std::string& name) {
  CHECK(
      c.execute("INSERT INTO event_readers (name, position) SELECT :name, newest FROM event_sequence WHERE true "
                "ON CONFLICT (name) DO NOTHING",
                {{"name", name}}));
  TRY(const auto found, c.query("SELECT position FROM event_readers WHERE name = :name", {{"name", name}}));
  return found.at(0).integer("position");
}

result<void> move_reader(connection& c, const std::string& name, std::int64_t position) {
  CHECK(c.execute("UPDATE event_readers SET position = :position WHERE name = :name",
                  {{"position", position}, {"name", name}}));
  return {};
}

result<std::int64_t> forget_uploads(connection& c, std::int64_t before_ms, const std::string& before_id,
                                    std::int64_t limit) {
  const std::string those(forgettable);
  TRY(const auto batch, c.query("SELECT grant_id " + those + " ORDER BY grant_id LIMIT :limit",
                                {{"before_id", before_id}, {"before", before_ms}, {"limit", limit}}));
  if (batch.empty()) return 0;
  const parameters p{{"before_id", before_id}, {"before", before_ms}, {"last", batch.back().text("grant_id")}};
  const auto events = "FROM upload_events WHERE grant_id IN (SELECT grant_id " + those + " AND grant_id <= :last)";
  TRY(const auto highest, c.query("SELECT sequence " + events + " ORDER BY sequence DESC LIMIT 1", p));
  if (!highest.empty())
    CHECK(c.execute("UPDATE event_sequence SET forgotten = :highest WHERE forgotten < :highest",
                    {{"highest", highest[0].integer("sequence")}}));
  TRY(const auto gone, c.query("SELECT state, count(*) AS n " + those + " AND grant_id <= :last GROUP BY state", p));
  for (const row& r : gone) {
    const auto state = r.text("state");
    CHECK(c.execute("UPDATE event_sequence SET " + state + " = " + state + " - :n", {{"n", r.integer("n")}}));
  }
  CHECK(c.execute("DELETE " + events, p));
  CHECK(c.execute("DELETE " + those + " AND grant_id <= :last", p));
  return std::int64_t(batch.size());
}

}  // namespace evp::sql
