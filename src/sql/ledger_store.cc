#include "sql/ledger_store.h"

#include "base/names.h"
#include "sql/live_grants.h"

namespace evp::sql {

constexpr std::string_view upload_columns =
    "grant_id, device, instance, request_id, service_id, service_name, service_revision, object, operation, state, "
    "reason, can_report, "
    "size_declared, size_bytes, sha256, issued_at, expires_at, updated_at, verify, parts_id, part_bytes, offline, "
    "asked_service, change_id, "
    "max_size, quota_bytes, content_type";

namespace {

std::vector<upload_row> read_all(const rows& found) {
  std::vector<upload_row> out;
  out.reserve(found.size());
  for (const row& r : found) out.push_back(read_upload(r));
  return out;
}

}  // namespace

// Tenants' names have no character that means anything within quotes. LIKE would take their "_" for any character.
std::string of_tenant(const std::string& tenant) {
  if (tenant.empty()) return std::string("device NOT LIKE '%") + tenant_separator + "%'";
  const auto prefix = tenant + tenant_separator;
  return "substr(device, 1, " + std::to_string(prefix.size()) + ") = '" + prefix + "'";
}

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
          .offline = r.integer("offline") != 0,
          .asked_service = r.text("asked_service"),
          .change_id = r.text("change_id"),
          .max_size = r.integer("max_size"),
          .quota_bytes = r.integer("quota_bytes"),
          .content_type = r.text("content_type")};
}

result<void> insert_upload(connection& c, const upload_row& u) {
  CHECK(c.execute("INSERT INTO uploads (" + std::string(upload_columns) +
                      ") VALUES (:grant_id, :device, :instance, :request_id, :service_id, :service_name, "
                      ":service_revision, :object, "
                      ":operation, :state, :reason, :can_report, :size_declared, :size_bytes, :sha256, :issued_at, "
                      ":expires_at, :updated_at, :verify, :parts_id, :part_bytes, :offline, "
                      ":asked_service, :change_id, "
                      ":max_size, :quota_bytes, :content_type)",
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
                   {"size_declared", or_null(u.size_declared)},
                   {"size_bytes", or_null(u.size_bytes)},
                   {"sha256", u.sha256},
                   {"issued_at", u.issued_at},
                   {"expires_at", u.expires_at},
                   {"updated_at", u.updated_at},
                   {"verify", u.verify},
                   {"parts_id", u.parts_id},
                   {"part_bytes", u.part_bytes},
                   {"offline", std::int64_t(u.offline)},
                   {"asked_service", u.asked_service},
                   {"change_id", u.change_id},
                   {"max_size", u.max_size},
                   {"quota_bytes", u.quota_bytes},
                   {"content_type", u.content_type}}));
  return {};
}

result<std::vector<upload_row>> list_uploads(connection& c, const upload_query& q) {
  std::string text = "SELECT " + std::string(upload_columns) + " FROM uploads WHERE grant_id >= :from_id";
  parameters p{{"from_id", q.from_id}};
  const auto also = [&](std::string_view condition, std::string_view name, const std::string& v) {
    text.append(" AND ").append(condition);
    p.push_back({name, v});
  };
  if (q.tenant) text.append(" AND ").append(of_tenant(*q.tenant));
  if (!q.before_id.empty()) also("grant_id < :before_id", "before_id", q.before_id);
  if (q.device) also("device = :device", "device", *q.device);
  if (q.service_name) also("service_name = :service", "service", *q.service_name);
  if (q.state) also("state = :state", "state", *q.state);
  p.push_back({"limit", q.limit});
  TRY(const auto found, c.query(text + " ORDER BY grant_id DESC LIMIT :limit", p));
  return read_all(found);
}

namespace {

result<std::optional<upload_row>> find(connection& c, const std::string& grant_id, std::string_view lock) {
  const auto text = "SELECT " + std::string(upload_columns) + " FROM uploads WHERE grant_id = :id";
  TRY(const auto found, c.query(text + std::string(lock), {{"id", grant_id}}));
  if (found.empty()) return std::nullopt;
  return read_upload(found[0]);
}

}  // namespace

result<std::optional<upload_row>> find_upload(connection& c, const std::string& grant_id) {
  return find(c, grant_id, "");
}

result<std::optional<upload_row>> hold_upload(connection& c, const std::string& grant_id) {
  return find(c, grant_id, c.for_update());
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

// The second half reads the index uploads_long, so its last condition stands as it does there (schema.cc).
result<live_grants_row> find_live_grants(connection& c, const std::string& device, std::int64_t now_ms,
                                         const std::string& from_id) {
  const std::string rows = "SELECT offline, expires_at FROM uploads WHERE device = :device AND expires_at > :now AND ";
  TRY(const auto found,
      c.query("SELECT " + std::string(live_grants_columns) + " FROM (" + rows + "grant_id >= :from UNION ALL " + rows +
                  "grant_id < :from AND expires_at - issued_at > 90000000) u",
              {{"device", device}, {"now", now_ms}, {"from", from_id}}));
  return read_live_grants(found.at(0));
}

result<std::int64_t> count_offline_grants(connection& c, const std::string& device, std::int64_t now_ms) {
  TRY(const auto found, c.query("SELECT count(*) AS n FROM uploads WHERE offline = 1 AND state = 'issued' AND "
                                "device = :device AND expires_at > :now",
                                {{"device", device}, {"now", now_ms}}));
  return found.at(0).integer("n");
}

}  // namespace evp::sql
