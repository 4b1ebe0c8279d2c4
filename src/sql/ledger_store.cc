#include "sql/ledger_store.h"

namespace evp::sql {

constexpr std::string_view upload_columns =
    "grant_id, device, instance, request_id, service_id, service_name, service_revision, object, operation, state, "
    "reason, can_report, "
    "size_declared, size_bytes, sha256, issued_at, expires_at, updated_at, verify, parts_id, part_bytes, offline";

namespace {

value number_or_null(const std::optional<std::int64_t>& n) { return n ? value(*n) : value(); }

std::optional<std::int64_t> optional_number(const row& r, std::string_view column) {
  if (r.is_null(column)) return std::nullopt;
  return r.integer(column);
}

std::vector<upload_row> read_all(const rows& found) {
  std::vector<upload_row> out;
  out.reserve(found.size());
  for (const row& r : found) out.push_back(read_upload(r));
  return out;
}

}  // namespace

upload_row read_upload(const row& r) {
  return {.grant_id = r.text("grant_id"),
          .device = r.text("device"),
          .instance = r.text("instance"),
          .request_id = r.text("request_id"),
          .service_id = r.text("service_id"),
          .service_name = r.text("service_name"),
          .service_revision = r.integer("service_revision"),
          .object = r.text("object"),
          .operation = r.text("operation"),
          .state = r.text("state"),
          .reason = r.text("reason"),
          .can_report = r.integer("can_report") != 0,
          .size_declared = optional_number(r, "size_declared"),
          .size_bytes = optional_number(r, "size_bytes"),
          .sha256 = r.text("sha256"),
          .issued_at = r.integer("issued_at"),
          .expires_at = r.integer("expires_at"),
          .updated_at = r.integer("updated_at"),
          .verify = r.text("verify"),
          .parts_id = r.text("parts_id"),
          .part_bytes = r.integer("part_bytes"),
          .offline = r.integer("offline") != 0};
}

result<void> insert_upload(connection& c, const upload_row& u) {
  CHECK(c.execute("INSERT INTO uploads (" + std::string(upload_columns) +
                      ") VALUES (:grant_id, :device, :instance, :request_id, :service_id, :service_name, "
                      ":service_revision, :object, "
                      ":operation, :state, :reason, :can_report, :size_declared, :size_bytes, :sha256, :issued_at, "
                      ":expires_at, :updated_at, :verify, :parts_id, :part_bytes, :offline)",
                  {{"grant_id", u.grant_id},
                   {"device", u.device},
                   {"instance", u.instance},
                   {"request_id", u.request_id},
                   {"service_id", u.service_id},
                   {"service_name", u.service_name},
                   {"service_revision", u.service_revision},
                   {"object", u.object},
                   {"operation", u.operation},
                   {"state", u.state},
                   {"reason", u.reason},
                   {"can_report", std::int64_t(u.can_report)},
                   {"size_declared", number_or_null(u.size_declared)},
                   {"size_bytes", number_or_null(u.size_bytes)},
                   {"sha256", u.sha256},
                   {"issued_at", u.issued_at},
                   {"expires_at", u.expires_at},
                   {"updated_at", u.updated_at},
                   {"verify", u.verify},
                   {"parts_id", u.parts_id},
                   {"part_bytes", u.part_bytes},
                   {"offline", std::int64_t(u.offline)}}));
  return {};
}

result<std::vector<upload_row>> list_uploads(connection& c, const upload_query& q) {
  std::string text = "SELECT " + std::string(upload_columns) + " FROM uploads WHERE grant_id >= :from_id";
  parameters p{{"from_id", q.from_id}};
  const auto also = [&](std::string_view condition, std::string_view name, const std::string& v) {
    text.append(" AND ").append(condition);
    p.push_back({name, v});
  };
  if (!q.before_id.empty()) also("grant_id < :before_id", "before_id", q.before_id);
  if (q.device) also("device = :device", "device", *q.device);
  if (q.service_name) also("service_name = :service", "service", *q.service_name);
  if (q.state) also("state = :state", "state", *q.state);
  p.push_back({"limit", q.limit});
  TRY(const auto found, c.query(text + " ORDER BY grant_id DESC LIMIT :limit", p));
  return read_all(found);
}

result<std::optional<upload_row>> find_upload(connection& c, const std::string& grant_id) {
  TRY(const auto found,
      c.query("SELECT " + std::string(upload_columns) + " FROM uploads WHERE grant_id = :id", {{"id", grant_id}}));
  if (found.empty()) return std::nullopt;
  return read_upload(found[0]);
}

result<bool> change_upload(connection& c, const upload_change& u) {
  std::string text = "UPDATE uploads SET state = :state, reason = :reason, updated_at = :now";
  parameters p{{"state", u.state}, {"reason", u.reason}, {"now", u.updated_at}};
  if (u.size_bytes) {
    text += ", size_bytes = :size";
    p.push_back({"size", *u.size_bytes});
  }
  if (!u.sha256.empty()) {
    text += ", sha256 = :sha256";
    p.push_back({"sha256", u.sha256});
  }
  p.push_back({"id", u.grant_id});
  TRY(const auto changed, c.execute(text + " WHERE grant_id = :id AND state NOT IN ('verified', 'failed')", p));
  return changed > 0;
}

result<bool> prolong_upload(connection& c, const std::string& grant_id, std::int64_t expires_at) {
  TRY(const auto changed, c.execute("UPDATE uploads SET expires_at = :expires_at WHERE grant_id = :grant_id AND "
                                    "state IN ('issued', 'uploaded') AND EXISTS (SELECT id FROM services WHERE id = "
                                    "uploads.service_id AND revision = uploads.service_revision)",
                                    {{"expires_at", expires_at}, {"grant_id", grant_id}}));
  return changed > 0;
}

result<std::vector<upload_row>> list_overdue_uploads(connection& c, std::int64_t before_ms, std::int64_t limit) {
  TRY(const auto found, c.query("SELECT " + std::string(upload_columns) +
                                    " FROM uploads WHERE (state = 'issued' OR (state = 'uploaded' AND verify <> "
                                    "'none')) AND expires_at < :before "
                                    "ORDER BY expires_at LIMIT :limit",
                                {{"before", before_ms}, {"limit", limit}}));
  return read_all(found);
}

result<bool> has_other_upload(connection& c, const upload_row& than) {
  TRY(const auto found, c.query("SELECT grant_id FROM uploads WHERE service_id = :service AND object = :object AND "
                                "grant_id <> :id LIMIT 1",
                                {{"service", than.service_id}, {"object", than.object}, {"id", than.grant_id}}));
  return !found.empty();
}

result<live_grants_row> find_live_grants(connection& c, const std::string& device, std::int64_t now_ms) {
  TRY(const auto found, c.query("SELECT count(*) AS n, count(CASE WHEN offline = 1 THEN 1 END) AS kept, "
                                "max(expires_at) AS last FROM uploads WHERE device = :device AND expires_at > :now",
                                {{"device", device}, {"now", now_ms}}));
  const auto& r = found.at(0);
  return live_grants_row{r.integer("n"), r.integer("kept"), optional_number(r, "last").value_or(0)};
}

result<std::int64_t> count_offline_grants(connection& c, const std::string& device, std::int64_t now_ms) {
  TRY(const auto found, c.query("SELECT count(*) AS n FROM uploads WHERE offline = 1 AND state = 'issued' AND "
                                "device = :device AND expires_at > :now",
                                {{"device", device}, {"now", now_ms}}));
  return found.at(0).integer("n");
}

result<std::vector<upload_count>> count_uploads(connection& c) {
  TRY(const auto found, c.query("SELECT state, count(*) AS n FROM uploads GROUP BY state"));
  std::vector<upload_count> out;
  for (const row& r : found) out.push_back({r.text("state"), r.integer("n")});
  return out;
}

}  // namespace evp::sql
