#include "sql/enrolment_store.h"

namespace evp::sql {
namespace {

constexpr std::string_view token_columns =
    "id, tenant, device, token_sha256, uses_left, created_at, expires_at, group_name";

std::string select_tokens(std::string_view rest) {
  return std::string("SELECT ").append(token_columns).append(" FROM enrolment_tokens ").append(rest);
}

enrolment_token_row read_token(const row& r) {
  return {r.text("id"),
          r.text("tenant"),
          r.text("device"),
          r.text("token_sha256"),
          r.integer("uses_left"),
          r.integer("created_at"),
          r.integer("expires_at"),
          r.is_null("group_name") ? "" : r.text("group_name")};
}

}  // namespace

result<void> insert_enrolment_token(connection& c, const enrolment_token_row& t) {
  CHECK(c.execute("INSERT INTO enrolment_tokens (" + std::string(token_columns) +
                      ") VALUES (:id, :tenant, :device, :sha256, :uses, :created, :expires, :group_name)",
                  {{"id", t.id},
                   {"tenant", t.tenant},
                   {"device", t.device},
                   {"sha256", t.token_sha256},
                   {"uses", t.uses_left},
                   {"created", t.created_at},
                   {"expires", t.expires_at},
                   {"group_name", t.group.empty() ? value() : value(t.group)}}));
  return {};
}

result<std::vector<enrolment_token_row>> list_enrolment_tokens(connection& c, const std::string& tenant) {
  TRY(const auto found, c.query(select_tokens("WHERE tenant = :tenant ORDER BY id"), {{"tenant", tenant}}));
  std::vector<enrolment_token_row> out;
  for (const row& r : found) out.push_back(read_token(r));
  return out;
}

result<std::optional<enrolment_token_row>> find_enrolment_token(connection& c, const std::string& id) {
  TRY(const auto found, c.query(select_tokens("WHERE id = :id"), {{"id", id}}));
  if (found.empty()) return std::nullopt;
  return read_token(found[0]);
}

result<std::int64_t> count_enrolment_tokens(connection& c) {
  TRY(const auto found, c.query("SELECT count(*) AS n FROM enrolment_tokens"));
  return found.at(0).integer("n");
}

result<bool> use_enrolment_token(connection& c, const std::string& id) {
  TRY(const auto used,
      c.execute("UPDATE enrolment_tokens SET uses_left = uses_left - 1 WHERE id = :id AND uses_left > 0",
                {{"id", id}}));
  return used > 0;
}

result<bool> remove_enrolment_token(connection& c, const std::string& tenant, const std::string& id) {
  TRY(const auto removed,
      c.execute("DELETE FROM enrolment_tokens WHERE tenant = :tenant AND id = :id", {{"tenant", tenant}, {"id", id}}));
  return removed > 0;
}

result<void> forget_enrolment_tokens(connection& c, std::int64_t before_ms) {
  CHECK(c.execute("DELETE FROM enrolment_tokens WHERE expires_at < :before", {{"before", before_ms}}));
  return {};
}

result<void> insert_certificate(connection& c, const certificate_row& r) {
  CHECK(c.execute("DELETE FROM certificates WHERE device = :device AND expires_at < :now",
                  {{"device", r.device}, {"now", r.created_at}}));
  CHECK(
      c.execute("INSERT INTO certificates (serial, device, token_id, key_sha256, created_at, expires_at) VALUES "
                "(:serial, :device, :token, :key, :created, :expires)",
                {{"serial", r.serial},
                 {"device", r.device},
                 {"token", r.token_id},
                 {"key", r.key_sha256},
                 {"created", r.created_at},
                 {"expires", r.expires_at}}));
  return {};
}

result<std::optional<std::string>> find_enrolled(connection& c, const std::string& token_id,
                                                 const std::string& key_sha256) {
  TRY(const auto found, c.query("SELECT device FROM certificates WHERE key_sha256 = :key AND token_id = :token LIMIT 1",
                                {{"key", key_sha256}, {"token", token_id}}));
  if (found.empty()) return std::nullopt;
  return found[0].text("device");
}

result<std::vector<certificate_row>> list_certificates(connection& c, const std::string& device) {
  TRY(const auto found,
      c.query("SELECT c.serial AS serial, c.device AS device, c.token_id AS token_id, c.key_sha256 AS key_sha256, "
              "c.created_at AS created_at, c.expires_at AS expires_at, coalesce(r.revoked_at, 0) AS revoked_at "
              "FROM certificates c LEFT JOIN revoked_certificates r ON r.serial = c.serial "
              "WHERE c.device = :device ORDER BY c.created_at DESC, c.serial",
              {{"device", device}}));
  std::vector<certificate_row> out;
  for (const row& r : found)
    out.push_back({r.text("serial"), r.text("device"), r.text("token_id"), r.text("key_sha256"),
                   r.integer("created_at"), r.integer("expires_at"), r.integer("revoked_at")});
  return out;
}

}  // namespace evp::sql
