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

// Whose names begin with "<tenant>:", and who may ask for what. Keys are kept as SHA-256 only; tenant '*' is all of
// them.
constexpr std::string_view tenants_and_keys[] = {
    "CREATE TABLE tenants (id TEXT NOT NULL PRIMARY KEY, created_at BIGINT NOT NULL)",
    "CREATE TABLE api_keys (id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT "
    "NULL, "
    "key_sha256 TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE TABLE master_key (key_id TEXT NOT NULL PRIMARY KEY)",
};

// Who may become a device (an empty device: any that is not there yet), and which certificates were issued. A device
// that asks again with the same key and token, since the answer was lost, is known by its key.
constexpr std::string_view enrolment[] = {
    "CREATE TABLE enrolment_tokens (id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, device TEXT NOT NULL, "
    "token_sha256 TEXT NOT NULL, uses_left BIGINT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE TABLE certificates (serial TEXT NOT NULL PRIMARY KEY, device TEXT NOT NULL REFERENCES devices (id) ON "
    "DELETE "
    "CASCADE, token_id TEXT NOT NULL, key_sha256 TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT "
    "NULL)",
    "CREATE INDEX certificates_device ON certificates (device)",
    "CREATE INDEX certificates_key ON certificates (key_sha256)",
};

// What programs on one database must tell each other, and which of them does the work that one does for all.
constexpr std::string_view several_programs[] = {
    "CREATE TABLE change_sequence (newest BIGINT NOT NULL)",
    "INSERT INTO change_sequence (newest) VALUES (0)",
    "CREATE TABLE changes (number BIGINT NOT NULL PRIMARY KEY, topic TEXT NOT NULL, name TEXT NOT NULL)",
    "CREATE TABLE leases (name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, beat BIGINT NOT NULL)",
    "INSERT INTO leases (name, holder, beat) VALUES ('background', '', 0)",
};

// Who did what: each record bound to the one before by its hash. audit_chain is one row: the last record's number and
// hash, and those of the last one that retention dropped, from which the rest verifies on.
constexpr std::string_view audit_chain[] = {
    "CREATE TABLE audit (number BIGINT NOT NULL PRIMARY KEY, at BIGINT NOT NULL, actor TEXT NOT NULL, "
    "action TEXT NOT NULL, object_kind TEXT NOT NULL, object_name TEXT NOT NULL, peer TEXT NOT NULL, "
    "outcome TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TABLE audit_chain (number BIGINT NOT NULL, hash TEXT NOT NULL, dropped_number BIGINT NOT NULL, "
    "dropped_hash TEXT NOT NULL)",
    "INSERT INTO audit_chain (number, hash, dropped_number, dropped_hash) VALUES "
    "(0, '0000000000000000000000000000000000000000000000000000000000000000', "
    "0, '0000000000000000000000000000000000000000000000000000000000000000')",
};

// Which service signs in another's place. services.change_revision counts what is changed of that, so that a grant that
// was signed by older knowledge is found out (ADR 0037). Outcomes are counted in slices of time; slice 0 is all of
// them. The indexes hold only uploads that went another way than was asked for.
constexpr std::string_view changes_of_providers[] = {
    "ALTER TABLE services ADD COLUMN change_revision BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE uploads ADD COLUMN asked_service TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE uploads ADD COLUMN change_id TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX uploads_rerouted ON uploads (service_id, expires_at) WHERE asked_service <> ''",
    "CREATE INDEX uploads_rerouted_objects ON uploads (service_id, object) WHERE asked_service <> ''",
    "CREATE TABLE provider_changes (source_id TEXT NOT NULL PRIMARY KEY REFERENCES services (id) ON DELETE CASCADE, "
    "source_name TEXT NOT NULL, id TEXT NOT NULL, target_id TEXT NOT NULL, target_name TEXT NOT NULL, "
    "revision BIGINT NOT NULL, percent BIGINT NOT NULL, error_percent BIGINT NOT NULL, minimum BIGINT NOT NULL, "
    "window_ms BIGINT NOT NULL, shadow BIGINT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, "
    "began_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, ended_at BIGINT NOT NULL)",
    "CREATE TABLE provider_change_counts (change_id TEXT NOT NULL, is_target BIGINT NOT NULL, slice BIGINT NOT NULL, "
    "granted BIGINT NOT NULL, refused BIGINT NOT NULL, verified BIGINT NOT NULL, uploaded BIGINT NOT NULL, "
    "failed BIGINT NOT NULL, expired BIGINT NOT NULL, copied BIGINT NOT NULL, not_copied BIGINT NOT NULL, "
    "skipped BIGINT NOT NULL, PRIMARY KEY (change_id, is_target, slice))",
};

// What the devices of a tenant, of a group or one device may do with which storage; NULL: not stated. policy_epochs has
// a row for each tenant that was asked for, whose number is another after each change of the tenant's policies; '*' is
// where the numbers come from. grant_counts has a row for each device that had a quota: the minute and the UTC day of
// its last grant, as Unix time divided by their length, and what was granted in them.
constexpr std::string_view policies[] = {
    "CREATE TABLE device_groups (name TEXT NOT NULL PRIMARY KEY, description TEXT NOT NULL, created_at BIGINT NOT "
    "NULL)",
    "ALTER TABLE devices ADD COLUMN group_name TEXT REFERENCES device_groups (name)",
    "CREATE INDEX devices_group ON devices (group_name) WHERE group_name IS NOT NULL",
    "CREATE TABLE policies (tenant TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, default_storage TEXT, "
    "storages TEXT, operations TEXT, name_template TEXT, max_size BIGINT, content_types TEXT, "
    "grants_per_minute BIGINT, bytes_per_day BIGINT, updated_at BIGINT NOT NULL, PRIMARY KEY (tenant, scope, name))",
    "CREATE TABLE policy_epochs (tenant TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL)",
    "INSERT INTO policy_epochs (tenant, epoch) VALUES ('*', 0), ('', 0)",
    "CREATE TABLE grant_counts (device TEXT NOT NULL PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE, "
    "minute BIGINT NOT NULL, grants BIGINT NOT NULL, day BIGINT NOT NULL, bytes BIGINT NOT NULL)",
    "ALTER TABLE uploads ADD COLUMN max_size BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE uploads ADD COLUMN quota_bytes BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE uploads ADD COLUMN content_type TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE enrolment_tokens ADD COLUMN group_name TEXT REFERENCES device_groups (name)",
};

// What may have no grants beside blocked devices: kind "service", "module" or "instance", of one device or (empty) of
// all. block_count is one row that each grant holds, so that a block waits for those under way and they for it. The
// index is for what is alive of a service or a module. A roll call asks all programs on the database to answer.
constexpr std::string_view blocks_and_roll_calls[] = {
    "CREATE TABLE blocks (kind TEXT NOT NULL, name TEXT NOT NULL, device TEXT NOT NULL, at BIGINT NOT NULL, "
    "actor TEXT NOT NULL, PRIMARY KEY (kind, name, device))",
    "CREATE TABLE block_count (present BIGINT NOT NULL)",
    "INSERT INTO block_count (present) VALUES (0)",
    "CREATE INDEX uploads_alive ON uploads (expires_at, service_name)",
    "CREATE TABLE replicas (id TEXT NOT NULL PRIMARY KEY, host TEXT NOT NULL, seen_at BIGINT NOT NULL)",
    "CREATE TABLE roll_calls (id TEXT NOT NULL PRIMARY KEY, device TEXT NOT NULL, at BIGINT NOT NULL)",
    "CREATE TABLE roll_answers (call TEXT NOT NULL REFERENCES roll_calls (id) ON DELETE CASCADE, "
    "replica TEXT NOT NULL, online BIGINT NOT NULL, broker_ms BIGINT NOT NULL, broker_error TEXT NOT NULL, "
    "PRIMARY KEY (call, replica))",
};

// Certificates of our own authority that admit nobody any more, until they expire. They outlive their device: another
// of that name is not let in by them. A key that was revoked gets no other certificate.
constexpr std::string_view revoked_certificates[] = {
    "CREATE TABLE revoked_certificates (id TEXT NOT NULL PRIMARY KEY, serial TEXT NOT NULL, device TEXT NOT NULL, "
    "key_sha256 TEXT NOT NULL, revoked_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)",
    "CREATE INDEX revoked_certificates_serial ON revoked_certificates (serial)",
    "CREATE INDEX revoked_certificates_key ON revoked_certificates (key_sha256)",
    "CREATE INDEX revoked_certificates_expiry ON revoked_certificates (expires_at)",
};

// A device's grants lie all over an index of devices, so that each index costs a grant a page of its own: one is enough
// to list them and to find those that live. What lives for longer than a day or so is looked for among its few likes.
// event_sequence keeps the number of rows in each state.
constexpr std::string_view cheaper_grants[] = {
    "DROP INDEX uploads_lives",
    "DROP INDEX uploads_device",
    "CREATE INDEX uploads_device ON uploads (device, grant_id, expires_at)",
    "CREATE INDEX uploads_long ON uploads (device, expires_at) WHERE expires_at - issued_at > 90000000",
    "ALTER TABLE event_sequence ADD COLUMN issued BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE event_sequence ADD COLUMN uploaded BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE event_sequence ADD COLUMN verified BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE event_sequence ADD COLUMN failed BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE event_sequence ADD COLUMN expired BIGINT NOT NULL DEFAULT 0",
    "UPDATE event_sequence SET issued = (SELECT count(*) FROM uploads WHERE state = 'issued'), "
    "uploaded = (SELECT count(*) FROM uploads WHERE state = 'uploaded'), "
    "verified = (SELECT count(*) FROM uploads WHERE state = 'verified'), "
    "failed = (SELECT count(*) FROM uploads WHERE state = 'failed'), "
    "expired = (SELECT count(*) FROM uploads WHERE state = 'expired')",
};

constexpr migration all[] = {{1, fleet},
                             {2, ledger_and_reports},
                             {3, uploads_in_parts},
                             {4, bounds_of_services},
                             {5, changes_of_uploads},
                             {6, hooks_and_outbox},
                             {7, offline_grants},
                             {8, tenants_and_keys},
                             {9, enrolment},
                             {10, several_programs},
                             {11, audit_chain},
                             {12, changes_of_providers},
                             {13, policies},
                             {14, blocks_and_roll_calls},
                             {15, revoked_certificates},
                             {16, cheaper_grants}};

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
