#include "sql/provider_changes_store.h"

#include <algorithm>

#include "base/names.h"
#include "sql/changes_store.h"
#include "sql/live_grants.h"
#include "sql/services_store.h"

namespace evp::sql {
namespace {

constexpr std::string_view columns =
    "source_id, source_name, id, target_id, target_name, revision, percent, error_percent, minimum, window_ms, shadow, "
    "state, reason, began_at, updated_at, ended_at";

provider_change_row read(const row& r) {
  return {.source_id = r.text("source_id"),
          .source_name = r.text("source_name"),
          .id = r.text("id"),
          .target_id = r.text("target_id"),
          .target_name = r.text("target_name"),
          .revision = r.integer("revision"),
          .percent = r.integer("percent"),
          .error_percent = r.integer("error_percent"),
          .minimum = r.integer("minimum"),
          .window_ms = r.integer("window_ms"),
          .shadow = r.integer("shadow") != 0,
          .state = r.text("state"),
          .reason = r.text("reason"),
          .began_at = r.integer("began_at"),
          .updated_at = r.integer("updated_at"),
          .ended_at = r.integer("ended_at")};
}

result<bool> has_service(connection& c, const std::string& id, std::string_view lock) {
  TRY(const auto found, c.query("SELECT id FROM services WHERE id = :id" + std::string(lock), {{"id", id}}));
  return !found.empty();
}

struct counter {
  std::string_view column;
  std::int64_t side_counts::*field;
};
constexpr counter counters[] = {{"granted", &side_counts::granted},   {"refused", &side_counts::refused},
                                {"verified", &side_counts::verified}, {"uploaded", &side_counts::uploaded},
                                {"failed", &side_counts::failed},     {"expired", &side_counts::expired},
                                {"copied", &side_counts::copied},     {"not_copied", &side_counts::not_copied},
                                {"skipped", &side_counts::skipped}};

/// The counter that an upload in that state stands in; empty: it has not ended.
std::string_view counter_of(const std::string& state, const std::string& verify) {
  for (const std::string_view s : {"verified", "failed", "expired"})
    if (state == s) return s;
  return state == "uploaded" && verify == "none" ? "uploaded" : "";
}

std::int64_t slice_of(std::int64_t at) { return at / count_slice_ms; }

result<void> add_to_slice(connection& c, const std::string& change_id, bool is_target, std::int64_t slice,
                          std::string_view column, std::int64_t number) {
  const std::string name(column);
  const parameters p{{"id", change_id}, {"target", std::int64_t(is_target)}, {"slice", slice}, {"number", number}};
  TRY(const auto changed, c.execute("UPDATE provider_change_counts SET " + name + " = " + name + " + :number WHERE " +
                                        "change_id = :id AND is_target = :target AND slice = :slice",
                                    p));
  if (changed > 0 || number < 0) return {};  // what would be taken from a slice that is no more is no matter
  std::string names, values;
  for (const auto& k : counters) {
    names.append(", ").append(k.column);
    values.append(k.column == column ? ", :number" : ", 0");
  }
  CHECK(c.execute("INSERT INTO provider_change_counts (change_id, is_target, slice" + names +
                      ") VALUES (:id, :target, :slice" + values + ")",
                  p));
  if (slice == 0) return {};
  const auto oldest = slice - max_count_window_ms / count_slice_ms - 1;
  CHECK(c.execute("DELETE FROM provider_change_counts WHERE change_id = :id AND slice > 0 AND slice < :oldest",
                  {{"id", change_id}, {"oldest", oldest}}));
  return {};
}

/// In the last part of the transaction only: so nobody else is in its way there.
void add(connection& c, const std::string& change_id, bool is_target, std::int64_t at, std::string_view column,
         std::int64_t number) {
  c.at_end([=](connection& last) -> result<void> {
    CHECK(add_to_slice(last, change_id, is_target, 0, column, number));
    if (column == "granted") return {};  // only outcomes make a rate
    return add_to_slice(last, change_id, is_target, slice_of(at), column, number);
  });
}

}  // namespace

side_counts& side_counts::operator+=(const side_counts& o) noexcept {
  for (const auto& k : counters) this->*k.field += o.*k.field;
  return *this;
}

result<std::vector<provider_change_row>> list_provider_changes(connection& c) {
  TRY(const auto found, c.query("SELECT " + std::string(columns) + " FROM provider_changes ORDER BY source_name"));
  std::vector<provider_change_row> out;
  for (const row& r : found) out.push_back(read(r));
  return out;
}

result<std::optional<provider_change_row>> find_provider_change(connection& c, const std::string& source_id) {
  TRY(const auto found,
      c.query("SELECT " + std::string(columns) + " FROM provider_changes WHERE source_id = :id", {{"id", source_id}}));
  if (found.empty()) return std::nullopt;
  return read(found[0]);
}

result<std::optional<provider_change_row>> hold_provider_change(connection& c, const std::string& source_id) {
  TRY(const bool there, has_service(c, source_id, c.for_update()));
  if (!there) return fail(errc::not_found, "the storage access service exists no more");
  return find_provider_change(c, source_id);
}

result<void> put_provider_change(connection& c, provider_change_row r) {
  CHECK(c.execute("UPDATE services SET change_revision = change_revision + 1 WHERE id = :id", {{"id", r.source_id}}));
  TRY(const auto found, c.query("SELECT change_revision FROM services WHERE id = :id", {{"id", r.source_id}}));
  if (found.empty()) return fail(errc::not_found, "the storage access service exists no more");
  const parameters p{
      {"source_id", r.source_id}, {"source_name", r.source_name},     {"id", r.id},
      {"target_id", r.target_id}, {"target_name", r.target_name},     {"revision", found[0].integer("change_revision")},
      {"percent", r.percent},     {"error_percent", r.error_percent}, {"minimum", r.minimum},
      {"window_ms", r.window_ms}, {"shadow", std::int64_t(r.shadow)}, {"state", r.state},
      {"reason", r.reason},       {"began_at", r.began_at},           {"updated_at", r.updated_at},
      {"ended_at", r.ended_at}};
  TRY(const auto changed,
      c.execute(
          "UPDATE provider_changes SET source_name = :source_name, id = :id, target_id = :target_id, target_name = "
          ":target_name, revision = :revision, percent = :percent, error_percent = :error_percent, minimum = "
          ":minimum, window_ms = :window_ms, shadow = :shadow, state = :state, reason = :reason, began_at = "
          ":began_at, updated_at = :updated_at, ended_at = :ended_at WHERE source_id = :source_id",
          p));
  if (changed == 0)
    CHECK(c.execute("INSERT INTO provider_changes (" + std::string(columns) +
                        ") VALUES (:source_id, :source_name, :id, :target_id, :target_name, :revision, :percent, "
                        ":error_percent, :minimum, :window_ms, :shadow, :state, :reason, :began_at, :updated_at, "
                        ":ended_at)",
                    p));
  note_change(c, "provider change", r.source_name);
  c.at_end([](connection& last) -> result<void> {  // of changes that others have taken the place of
    CHECK(last.execute("DELETE FROM provider_change_counts WHERE change_id NOT IN (SELECT id FROM provider_changes)"));
    CHECK(
        last.execute("DELETE FROM event_readers WHERE substr(name, 1, 7) = 'shadow ' AND substr(name, 8) NOT IN "
                     "(SELECT id FROM provider_changes WHERE state = 'running' AND shadow = 1)"));
    return {};
  });
  return {};
}

result<void> check_takes_no_part(connection& c, const std::string& service_id) {
  TRY(const bool there, has_service(c, service_id, c.for_update()));
  if (!there) return {};
  TRY(const auto found, c.query("SELECT source_name, target_name FROM provider_changes WHERE state = 'running' AND "
                                "(source_id = :id OR target_id = :id) LIMIT 1",
                                {{"id", service_id}}));
  if (found.empty()) return {};
  return fail(errc::failed_precondition, "the storage access service takes part in the change of \"" +
                                             std::string(local_name(found[0].text("source_name"))) + "\" to \"" +
                                             std::string(local_name(found[0].text("target_name"))) +
                                             "\": go back or finish that change first");
}

result<void> check_can_begin(connection& c, const std::string& source_id, const std::string& target_id) {
  TRY(const bool there, has_service(c, target_id, c.for_share()));
  if (!there) return fail(errc::not_found, "to", "the storage access service to change to exists no more");
  TRY(const auto found, c.query("SELECT source_name FROM provider_changes WHERE state = 'running' AND "
                                "(source_id = :target OR target_id = :source) LIMIT 1",
                                {{"target", target_id}, {"source", source_id}}));
  if (found.empty()) return {};
  return fail(errc::failed_precondition, "to",
              "one change at a time: \"" + std::string(local_name(found[0].text("source_name"))) +
                  "\" is being changed, to or from one of these two: go back or finish that first");
}

// Where one of the rows was changed while this waited, PostgreSQL looks at all of them as they are then.
result<std::optional<std::int64_t>> may_sign(connection& c, const upload_row& row, const service_asked_for& asked,
                                             const known_policies& policies) {
  const std::string lock(c.for_share());
  const bool is_rerouted = asked.id != row.service_id;
  std::string text =
      "SELECT block_count.present AS present FROM block_count, services JOIN policy_epochs ON policy_epochs.tenant = "
      ":tenant AND policy_epochs.epoch = :epoch WHERE services.id = :id AND services.revision = :revision";
  parameters known{{"tenant", policies.tenant},
                   {"epoch", policies.epoch},
                   {"id", row.service_id},
                   {"revision", row.service_revision}};
  if (!is_rerouted) {
    text += " AND services.change_revision = :change";
    known.push_back({"change", asked.change_revision});
  }
  TRY(const auto current, c.query(text + lock, known));
  if (current.empty()) return std::nullopt;
  const auto blocks = current.at(0).integer("present");
  if (!is_rerouted || (asked.id.empty() && row.asked_service.empty())) return blocks;
  text = asked.id.empty() ? "SELECT id FROM provider_changes WHERE id = :id AND state = 'running'"
                          : "SELECT id FROM services WHERE id = :id AND change_revision = :change";
  known = {{"id", asked.id.empty() ? row.change_id : asked.id}};
  if (!asked.id.empty()) known.push_back({"change", asked.change_revision});
  TRY(const auto leads_here, c.query(text + lock, known));
  if (leads_here.empty()) return std::nullopt;
  return blocks;
}

result<bool> has_rerouted_object(connection& c, const provider_change_row& r, const std::string& object) {
  TRY(const auto found,
      c.query("SELECT grant_id FROM uploads WHERE asked_service <> '' AND service_id = :target AND object = :object "
              "AND asked_service = :source AND operation = 'put' AND state IN ('uploaded', 'verified') LIMIT 1",
              {{"target", r.target_id}, {"object", object}, {"source", r.source_name}}));
  return !found.empty();
}

result<live_grants_row> find_rerouted_grants(connection& c, const provider_change_row& r, std::int64_t now_ms) {
  TRY(const auto found,
      c.query("SELECT " + std::string(live_grants_columns) +
                  " FROM uploads WHERE asked_service <> '' AND service_id = :target AND expires_at > :now AND "
                  "asked_service = :source",
              {{"target", r.target_id}, {"now", now_ms}, {"source", r.source_name}}));
  return read_live_grants(found.at(0));
}

void count_granted(connection& c, const upload_row& u) {
  if (!u.change_id.empty()) add(c, u.change_id, !u.asked_service.empty(), u.issued_at, "granted", 1);
}

void count_moved(connection& c, const upload_row& before, const std::string& state, std::int64_t at) {
  if (before.change_id.empty()) return;
  const bool is_target = !before.asked_service.empty();
  if (const auto was = counter_of(before.state, before.verify); !was.empty())
    add(c, before.change_id, is_target, before.updated_at, was, -1);
  if (const auto is = counter_of(state, before.verify); !is.empty()) add(c, before.change_id, is_target, at, is, 1);
}

void count_refused(connection& c, const std::string& change_id, bool is_target, std::int64_t number, std::int64_t at) {
  add(c, change_id, is_target, at, "refused", number);
}

void count_shadow(connection& c, const std::string& change_id, shadow_outcome how, std::int64_t at) {
  constexpr std::string_view names[] = {"copied", "not_copied", "skipped"};
  add(c, change_id, true, at, names[std::size_t(how)], 1);
}

result<change_counts> find_change_counts(connection& c, const std::string& change_id, std::int64_t since_ms) {
  std::string sums;
  for (const auto& k : counters) {
    const std::string name(k.column);
    sums.append(", CAST(sum(").append(name).append(") AS BIGINT) AS ").append(name);
  }
  TRY(const auto found,
      c.query("SELECT is_target, CASE WHEN slice = 0 THEN 1 ELSE 0 END AS whole" + sums +
                  " FROM provider_change_counts WHERE change_id = :id AND (slice = 0 OR slice >= :oldest) "
                  "GROUP BY is_target, CASE WHEN slice = 0 THEN 1 ELSE 0 END",
              {{"id", change_id}, {"oldest", slice_of(since_ms)}}));
  change_counts out;
  for (const row& r : found) {
    const bool is_whole = r.integer("whole") != 0, is_target = r.integer("is_target") != 0;
    auto& side = is_target ? (is_whole ? out.to : out.to_lately) : (is_whole ? out.from : out.from_lately);
    for (const auto& k : counters) side.*k.field = std::max<std::int64_t>(0, r.integer(k.column));
  }
  return out;
}

}  // namespace evp::sql
