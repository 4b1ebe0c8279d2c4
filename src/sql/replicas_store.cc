#include "sql/replicas_store.h"

namespace evp::sql {

result<void> keep_replica(connection& c, const replica_row& r, std::int64_t forget_before) {
  CHECK(
      c.execute("INSERT INTO replicas (id, host, seen_at) VALUES (:id, :host, :at) ON CONFLICT (id) DO UPDATE SET "
                "seen_at = excluded.seen_at",
                {{"id", r.id}, {"host", r.host}, {"at", r.seen_at}}));
  CHECK(c.execute("DELETE FROM replicas WHERE seen_at < :before", {{"before", forget_before}}));
  return {};
}

result<void> remove_replica(connection& c, const std::string& id) {
  return c.execute("DELETE FROM replicas WHERE id = :id", {{"id", id}}).map([](auto) {});
}

result<std::vector<replica_row>> list_replicas(connection& c) {
  TRY(const auto found, c.query("SELECT id, host, seen_at FROM replicas ORDER BY host, id"));
  std::vector<replica_row> out;
  for (const row& r : found) out.push_back({r.text("id"), r.text("host"), r.integer("seen_at")});
  return out;
}

result<bool> insert_roll_call(connection& c, const roll_call_row& call, std::int64_t forget_before, std::int64_t most) {
  CHECK(c.execute("DELETE FROM roll_calls WHERE at < :before", {{"before", forget_before}}));
  TRY(const auto under_way, c.query("SELECT count(*) AS n FROM roll_calls"));
  if (under_way.at(0).integer("n") >= most) return false;
  CHECK(c.execute("INSERT INTO roll_calls (id, device, at) VALUES (:id, :device, :at)",
                  {{"id", call.id}, {"device", call.device}, {"at", call.at}}));
  return true;
}

result<void> remove_roll_call(connection& c, const std::string& id) {
  return c.execute("DELETE FROM roll_calls WHERE id = :id", {{"id", id}}).map([](auto) {});
}

result<std::vector<roll_call_row>> list_open_roll_calls(connection& c, const std::string& replica) {
  TRY(const auto found, c.query("SELECT id, device, at FROM roll_calls WHERE id NOT IN (SELECT call FROM roll_answers "
                                "WHERE replica = :replica) ORDER BY id",
                                {{"replica", replica}}));
  std::vector<roll_call_row> out;
  for (const row& r : found) out.push_back({r.text("id"), r.text("device"), r.integer("at")});
  return out;
}

result<void> insert_roll_answer(connection& c, const std::string& call, const roll_answer_row& a) {
  TRY(const auto found,
      c.query("SELECT id FROM roll_calls WHERE id = :id" + std::string(c.for_share()), {{"id", call}}));
  if (found.empty()) return {};
  CHECK(
      c.execute("INSERT INTO roll_answers (call, replica, online, broker_ms, broker_error) VALUES (:call, :replica, "
                ":online, :ms, :error) ON CONFLICT (call, replica) DO NOTHING",
                {{"call", call},
                 {"replica", a.replica},
                 {"online", std::int64_t(a.online)},
                 {"ms", a.broker_ms},
                 {"error", a.broker_error}}));
  return {};
}

result<std::vector<roll_answer_row>> list_roll_answers(connection& c, const std::string& call) {
  TRY(const auto found, c.query("SELECT replica, online, broker_ms, broker_error FROM roll_answers WHERE call = :call",
                                {{"call", call}}));
  std::vector<roll_answer_row> out;
  for (const row& r : found)
    out.push_back({r.text("replica"), r.integer("online") != 0, r.integer("broker_ms"), r.text("broker_error")});
  return out;
}

}  // namespace evp::sql
