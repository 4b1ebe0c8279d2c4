#include "sql/audit_store.h"

#include <algorithm>

#include "base/encoding.h"
#include "sql/audit_rows.h"

namespace evp::sql {
namespace {

/// As the databases count them.
std::int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

}  // namespace

audit_row read_audit_row(const row& r) {
  audit_row out;
  out.record = {.number = r.integer("number"),
                .at = r.integer("at"),
                .actor = r.text("actor"),
                .action = r.text("action"),
                .object_kind = r.text("object_kind"),
                .object_name = r.text("object_name"),
                .peer = r.text("peer"),
                .outcome = r.text("outcome"),
                .detail = r.text("detail")};
  out.hash = r.text("hash");
  return out;
}

std::string audit_conditions(const audit_query& q, parameters& p) {
  std::string text = "number > :after AND number < :before";
  p.push_back({"after", q.after});
  p.push_back({"before", q.before});
  if (q.since) text += " AND at >= :since", p.push_back({"since", *q.since});
  if (q.until) text += " AND at < :until", p.push_back({"until", *q.until});
  if (q.object) {
    text += " AND (object_name = :object OR substr(object_name, 1, :object_length) = :beginning)";
    p.push_back({"object", *q.object});
    p.push_back({"object_length", characters(*q.object) + 1});
    p.push_back({"beginning", *q.object + "/"});
  }
  return text;
}

result<std::vector<audit_row>> select_audit(connection& c, const audit_query& q, const std::string& conditions,
                                            parameters p) {
  p.push_back({"limit", q.limit});
  const auto text = "SELECT " + std::string(audit_columns) + " FROM audit WHERE " + conditions + " ORDER BY number" +
                    (q.oldest_first ? "" : " DESC") + " LIMIT :limit";
  TRY(const auto found, c.query(text, p));
  std::vector<audit_row> out;
  out.reserve(found.size());
  for (const row& r : found) out.push_back(read_audit_row(r));
  return out;
}

result<void> append_audit(connection& c, std::vector<audit_record>& records) {
  if (records.empty()) return {};
  // The update comes first: with several writers it waits for the others', and what is read then is the end.
  CHECK(c.execute("UPDATE audit_chain SET number = number + :n", {{"n", std::int64_t(records.size())}}));
  TRY(const auto ends, find_audit_ends(c));
  TRY(auto hash, from_hex(ends.hash));
  if (hash.size() != audit_hash_bytes)
    return fail(errc::data_corrupt, "the end of the audit's chain in the database is damaged");
  auto number = ends.number - std::int64_t(records.size());
  for (auto& r : records) {
    r.number = ++number;
    hash = audit_hash(hash, r);
    CHECK(
        c.execute("INSERT INTO audit (number, at, actor, action, object_kind, object_name, peer, outcome, detail, "
                  "hash) VALUES (:number, :at, :actor, :action, :object_kind, :object_name, :peer, :outcome, "
                  ":detail, :hash)",
                  {{"number", r.number},
                   {"at", r.at},
                   {"actor", r.actor},
                   {"action", r.action},
                   {"object_kind", r.object_kind},
                   {"object_name", r.object_name},
                   {"peer", r.peer},
                   {"outcome", r.outcome},
                   {"detail", r.detail},
                   {"hash", to_hex(hash)}}));
  }
  CHECK(c.execute("UPDATE audit_chain SET hash = :hash", {{"hash", to_hex(hash)}}));
  return {};
}

result<std::vector<audit_row>> list_audit(connection& c, const audit_query& q) {
  parameters p;
  auto conditions = audit_conditions(q, p);
  if (q.actor) conditions += " AND actor = :actor", p.push_back({"actor", *q.actor});
  return select_audit(c, q, conditions, std::move(p));
}

result<audit_ends> find_audit_ends(connection& c) {
  TRY(const auto found, c.query("SELECT number, hash, dropped_number, dropped_hash FROM audit_chain"));
  if (found.empty()) return fail(errc::data_corrupt, "the end of the audit's chain is gone from the database");
  const auto& r = found[0];
  return audit_ends{r.integer("number"), r.text("hash"), r.integer("dropped_number"), r.text("dropped_hash")};
}

result<std::optional<std::int64_t>> audit_time(connection& c, std::int64_t number) {
  TRY(const auto found,
      c.query("SELECT at FROM audit WHERE number >= :number ORDER BY number LIMIT 1", {{"number", number}}));
  if (found.empty()) return std::nullopt;
  return found[0].integer("at");
}

result<std::int64_t> truncate_audit(connection& c, std::int64_t before_ms, std::int64_t limit) {
  TRY(const auto oldest,
      c.query("SELECT number, at, hash FROM audit ORDER BY number LIMIT :limit", {{"limit", limit}}));
  const auto stay =
      std::find_if(oldest.begin(), oldest.end(), [&](const row& r) { return r.integer("at") >= before_ms; });
  if (stay == oldest.begin()) return 0;
  const row& last = *std::prev(stay);
  CHECK(c.execute("UPDATE audit_chain SET dropped_number = :number, dropped_hash = :hash",
                  {{"number", last.integer("number")}, {"hash", last.text("hash")}}));
  CHECK(c.execute("DELETE FROM audit WHERE number <= :number", {{"number", last.integer("number")}}));
  return stay - oldest.begin();
}

}  // namespace evp::sql
