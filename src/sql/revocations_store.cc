#include "sql/revocations_store.h"

namespace evp::sql {
namespace {

constexpr std::string_view columns = "id, serial, device, key_sha256, revoked_at, expires_at";

revoked_certificate_row read_row(const row& r) {
  return {r.text("id"),         r.text("serial"),        r.text("device"),
          r.text("key_sha256"), r.integer("revoked_at"), r.integer("expires_at")};
}

result<bool> hold(connection& c, const std::string& device, const std::string& serial, std::string_view how) {
  const std::string text("SELECT serial FROM certificates WHERE serial = :serial AND device = :device");
  TRY(const auto found, c.query(text + std::string(how), {{"serial", serial}, {"device", device}}));
  return !found.empty();
}

}  // namespace

result<bool> insert_revoked_certificate(connection& c, const revoked_certificate_row& r, std::int64_t most) {
  TRY(const auto count, c.query("SELECT count(*) AS n FROM revoked_certificates"));
  if (count.at(0).integer("n") >= most)
    return fail(errc::too_large,
                "there are too many revoked certificates that have not expired: block or remove devices instead");
  TRY(const auto made,
      c.execute("INSERT INTO revoked_certificates (" + std::string(columns) +
                    ") VALUES (:id, :serial, :device, :key, :revoked, :expires) ON CONFLICT DO NOTHING",
                {{"id", r.id},
                 {"serial", r.serial},
                 {"device", r.device},
                 {"key", r.key_sha256},
                 {"revoked", r.revoked_at},
                 {"expires", r.expires_at}}));
  return made > 0;
}

result<void> forget_revoked_certificates(connection& c, std::int64_t before_ms) {
  CHECK(c.execute("DELETE FROM revoked_certificates WHERE expires_at < :before", {{"before", before_ms}}));
  return {};
}

result<std::vector<revoked_certificate_row>> list_revoked_certificates(connection& c, const std::string& after_id,
                                                                       std::int64_t alive_at_ms, std::int64_t limit) {
  TRY(const auto found, c.query("SELECT " + std::string(columns) +
                                    " FROM revoked_certificates WHERE id > :after AND expires_at >= :now "
                                    "ORDER BY id LIMIT :limit",
                                {{"after", after_id}, {"now", alive_at_ms}, {"limit", limit}}));
  std::vector<revoked_certificate_row> out;
  for (const row& r : found) out.push_back(read_row(r));
  return out;
}

result<std::optional<revoked_certificate_row>> find_revoked_certificate(connection& c, const std::string& id) {
  TRY(const auto found,
      c.query("SELECT " + std::string(columns) + " FROM revoked_certificates WHERE id = :id", {{"id", id}}));
  if (found.empty()) return std::nullopt;
  return read_row(found[0]);
}

result<bool> hold_certificate(connection& c, const std::string& device, const std::string& serial) {
  return hold(c, device, serial, c.for_share());
}

result<bool> hold_certificate_alone(connection& c, const std::string& device, const std::string& serial) {
  return hold(c, device, serial, c.for_update());
}

result<bool> is_revoked(connection& c, const std::string& serial) {
  TRY(const auto found,
      c.query("SELECT id FROM revoked_certificates WHERE serial = :serial LIMIT 1", {{"serial", serial}}));
  return !found.empty();
}

result<bool> is_key_revoked(connection& c, const std::string& key_sha256) {
  CHECK(c.query("SELECT serial FROM certificates WHERE key_sha256 = :key" + std::string(c.for_share()),
                {{"key", key_sha256}}));
  TRY(const auto found,
      c.query("SELECT id FROM revoked_certificates WHERE key_sha256 = :key LIMIT 1", {{"key", key_sha256}}));
  return !found.empty();
}

}  // namespace evp::sql
