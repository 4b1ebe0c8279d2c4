#include "sql/schema.h"

#include <array>

namespace evp::sql {
namespace {

// Times are Unix time in milliseconds, flags 0 or 1, bytes base64. Names of columns are those of the row structs.
constexpr std::string_view fleet[] = {
    "CREATE TABLE keys (name TEXT NOT NULL PRIMARY KEY, sealed TEXT NOT NULL)",

    "CREATE TABLE services (id TEXT NOT NULL PRIMARY KEY, revision BIGINT NOT NULL, name TEXT NOT NULL UNIQUE, "
    "type TEXT NOT NULL, certificate TEXT NOT NULL, expiration_ms BIGINT NOT NULL, object_name_template TEXT NOT NULL, "
    "created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)",
    "CREATE TABLE service_options (service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE, "
    "name TEXT NOT NULL, value_text TEXT NOT NULL, is_secret BIGINT NOT NULL, PRIMARY KEY (service_id, name))",
    "CREATE TABLE service_headers (service_id TEXT NOT NULL REFERENCES services (id) ON DELETE CASCADE, "
    "position BIGINT NOT NULL, name TEXT NOT NULL, value_text TEXT NOT NULL, PRIMARY KEY (service_id, position))",

    "CREATE TABLE devices (id TEXT NOT NULL PRIMARY KEY, token_sha256 TEXT NOT NULL, blocked BIGINT NOT NULL, "
    "created_at BIGINT NOT NULL)",

    "CREATE TABLE modules (id TEXT NOT NULL PRIMARY KEY, size_bytes BIGINT NOT NULL, sha256 TEXT NOT NULL, "
    "created_at BIGINT NOT NULL)",
    "CREATE TABLE deployments (device TEXT NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE, "
    "manifest TEXT NOT NULL, updated_at BIGINT NOT NULL)",
    "CREATE TABLE deployment_modules (device TEXT NOT NULL REFERENCES deployments (device) ON DELETE CASCADE, "
    "module TEXT NOT NULL REFERENCES modules (id), PRIMARY KEY (device, module))",
    "CREATE INDEX deployment_modules_module ON deployment_modules (module)",
    "CREATE TABLE configuration (device TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE, name TEXT NOT NULL, "
    "value_base64 TEXT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (device, name))",
};

constexpr std::string_view ledger_and_reports[] = {
    // Rows outlive their device and service, so they refer to them by text.
    "CREATE TABLE uploads (grant_id TEXT NOT NULL PRIMARY KEY, device TEXT NOT NULL, instance TEXT NOT NULL, "
    "request_id TEXT NOT NULL, service_id TEXT NOT NULL, service_name TEXT NOT NULL, service_revision BIGINT NOT NULL, "
    "object TEXT NOT NULL, "
    "operation TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, can_report BIGINT NOT NULL, "
    "size_declared BIGINT, size_bytes BIGINT, sha256 TEXT NOT NULL, issued_at BIGINT NOT NULL, "
    "expires_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)",
    "CREATE INDEX uploads_device ON uploads (device, grant_id)",
    "CREATE INDEX uploads_open ON uploads (expires_at) WHERE state IN ('issued', 'uploaded')",

    "CREATE TABLE device_reports (device TEXT NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE, "
    "dialect TEXT NOT NULL, system_info TEXT NOT NULL, deployment_status TEXT NOT NULL, telemetry TEXT NOT NULL, "
    "telemetry_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)",
    "CREATE TABLE device_states (device TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE, name TEXT NOT NULL, "
    "value_base64 TEXT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (device, name))",
};

// The storage's id of an upload in parts (empty: an upload in one piece), and the size of its parts.
constexpr std::string_view uploads_in_parts[] = {
    "ALTER TABLE uploads ADD COLUMN parts_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE uploads ADD COLUMN part_bytes BIGINT NOT NULL DEFAULT 0",
};

// What grants of a service are bounded by (0 and '' mean: not), and how its uploads are checked.
constexpr std::string_view bounds_of_services[] = {
    "ALTER TABLE services ADD COLUMN verify TEXT NOT NULL DEFAULT 'head'",
    "ALTER TABLE services ADD COLUMN create_only BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE services ADD COLUMN max_size BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE services ADD COLUMN source_address TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE uploads ADD COLUMN verify TEXT NOT NULL DEFAULT 'head'",
};

// Every change of an upload's state gets the next number of one sequence, in the transaction of the change. It is a row
// and not a sequence of the database's own, so that numbers become visible in their order: who has seen n has seen all
// before it.
constexpr std::string_view changes_of_uploads[] = {
    "CREATE TABLE event_sequence (newest BIGINT NOT NULL, forgotten BIGINT NOT NULL)",
    "INSERT INTO event_sequence (newest, forgotten) VALUES (0, 0)",
    "CREATE TABLE upload_events (sequence BIGINT NOT NULL PRIMARY KEY, grant_id TEXT NOT NULL, state TEXT NOT NULL, "
    "reason TEXT NOT NULL, at BIGINT NOT NULL)",
    "CREATE INDEX upload_events_grant ON upload_events (grant_id)",
    "CREATE TABLE event_readers (name TEXT NOT NULL PRIMARY KEY, position BIGINT NOT NULL)",
};

// Who is told of finished uploads, and the outbox of what is still to be told.
constexpr std::string_view hooks_and_outbox[] = {
    "CREATE TABLE hooks (name TEXT NOT NULL PRIMARY KEY, url TEXT NOT NULL, sealed_secret TEXT NOT NULL, "
    "certificate TEXT NOT NULL, services TEXT NOT NULL, states TEXT NOT NULL, created_at BIGINT NOT NULL, "
    "updated_at BIGINT NOT NULL, pending BIGINT NOT NULL, delivered BIGINT NOT NULL, given_up BIGINT NOT NULL, "
    "delivered_at BIGINT NOT NULL, last_error TEXT NOT NULL, last_error_at BIGINT NOT NULL, "
    "given_up_reason TEXT NOT NULL, given_up_at BIGINT NOT NULL)",
    "CREATE TABLE hook_deliveries (sequence BIGINT NOT NULL, hook TEXT NOT NULL REFERENCES hooks (name) ON DELETE "
    "CASCADE, attempts BIGINT NOT NULL, next_at BIGINT NOT NULL, created_at BIGINT NOT NULL, "
    "PRIMARY KEY (sequence, hook))",
    "CREATE INDEX hook_deliveries_due ON hook_deliveries (hook, next_at)",
};

// How long a service's offline grants live (0: it gives none), and which uploads have one. Two indexes: the grants of a
// device that are not dead yet, and those of them that are kept for later and not used.
constexpr std::string_view offline_grants[] = {
    "ALTER TABLE services ADD COLUMN offline_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE uploads ADD COLUMN offline BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX uploads_lives ON uploads (device, expires_at)",
    "CREATE INDEX uploads_offline ON uploads (device, expires_at) WHERE offline = 1 AND state = 'issued'",
};

constexpr migration all[] = {{1, fleet},
                             {2, ledger_and_reports},
                             {3, uploads_in_parts},
                             {4, bounds_of_services},
                             {5, changes_of_uploads},
                             {6, hooks_and_outbox},
                             {7, offline_grants}};

result<std::int64_t> current_version(connection& c) {
  CHECK(c.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"));
  TRY(const auto found, c.query("SELECT version FROM schema_version ORDER BY version DESC LIMIT 1"));
  return found.empty() ? 0 : found[0].integer("version");
}

result<void> apply(connection& c, const migration& step) {
  for (const auto text : step.texts) CHECK(c.execute(text));
  CHECK(c.execute("DELETE FROM schema_version"));
  CHECK(c.execute("INSERT INTO schema_version (version) VALUES (:version)", {{"version", step.version}}));
  return {};
}

}  // namespace

std::span<const migration> schema() { return all; }

result<void> migrate(connection& c, std::span<const migration> steps) {
  TRY(const auto have, current_version(c));
  const auto newest = steps.empty() ? 0 : steps.back().version;
  if (have > newest)
    return fail(errc::failed_precondition,
                "the database is of schema version " + std::to_string(have) + ", this program knows versions up to " +
                    std::to_string(newest) + ": start a newer program, or restore the backup made before the upgrade");
  for (const migration& step : steps) {
    if (step.version <= have) continue;
    CHECK(c.execute("BEGIN"));
    auto done = apply(c, step);
    if (done) done = c.execute("COMMIT").map([](auto) {});
    if (!done) {
      (void)c.execute("ROLLBACK");
      return fail(std::move(done).error().during("migration " + std::to_string(step.version)));
    }
  }
  return {};
}

}  // namespace evp::sql
