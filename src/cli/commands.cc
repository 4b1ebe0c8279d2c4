// The commands of evpctl: a row each.
#include "cli/commands.h"

namespace evp::cli {
namespace {

constexpr std::string_view key_query[] = {"allTenants"};
constexpr std::string_view page_query[] = {"limit", "cursor"};
constexpr std::string_view watch_query[] = {"device", "service", "state", "since"};
constexpr std::string_view audit_query[] = {"since", "until", "actor", "object", "limit", "cursor"};
constexpr std::string_view upload_query[] = {"device", "service", "state", "since", "limit", "cursor"};

constexpr std::string_view block_query[] = {"device"};
constexpr query_flag block_flags[] = {{"drill", "Block nothing; tell what would be, and in what time all had heard"},
                                      {"replicas", "Tell in what time each backend has heard"}};
constexpr query_flag service_block_flags[] = {
    block_flags[0],
    block_flags[1],
    {"vendor", "End what was granted too, by the storage's own lever; needs the role admin"}};

constexpr column service_columns[] = {{"name", "NAME"},
                                      {"type", "TYPE"},
                                      {"endpoint", "ENDPOINT"},
                                      {"expirationDuration", "EXPIRES"},
                                      {"updatedAt", "UPDATED"}};
constexpr column device_columns[] = {
    {"id", "ID"}, {"online", "ONLINE"}, {"blocked", "BLOCKED"}, {"group", "GROUP"}, {"createdAt", "CREATED"}};
constexpr column group_columns[] = {
    {"name", "NAME"}, {"devices", "DEVICES"}, {"createdAt", "CREATED"}, {"description", "DESCRIPTION"}};
constexpr column module_columns[] = {
    {"id", "ID"}, {"sizeBytes", "BYTES"}, {"sha256", "SHA-256"}, {"createdAt", "CREATED"}};
constexpr column upload_columns[] = {{"issuedAt", "ISSUED"}, {"device", "DEVICE"}, {"service", "STORAGE"},
                                     {"object", "OBJECT"},   {"state", "STATE"},   {"sizeBytes", "BYTES"},
                                     {"grantId", "GRANT"}};
constexpr column watch_columns[] = {{"sequence", ""}, {"updatedAt", ""}, {"state", ""}, {"device", ""},
                                    {"service", ""},  {"object", ""},    {"reason", ""}};
constexpr column hook_columns[] = {{"name", "NAME"},           {"url", "URL"},          {"pending", "PENDING"},
                                   {"delivered", "DELIVERED"}, {"givenUp", "GIVEN UP"}, {"lastError", "LAST ERROR"}};
constexpr column tenant_columns[] = {{"id", "ID"}, {"createdAt", "CREATED"}};
constexpr column key_columns[] = {{"id", "ID"},         {"name", "NAME"},         {"role", "ROLE"},
                                  {"tenant", "TENANT"}, {"createdAt", "CREATED"}, {"expiresAt", "EXPIRES"}};
constexpr column token_columns[] = {
    {"id", "ID"}, {"device", "DEVICE"}, {"usesLeft", "USES LEFT"}, {"expiresAt", "EXPIRES"}};
constexpr column certificate_columns[] = {
    {"serial", "SERIAL"}, {"issuedAt", "ISSUED"}, {"expiresAt", "EXPIRES"}, {"revokedAt", "REVOKED"}};
constexpr column audit_columns[] = {
    {"number", "NUMBER"},     {"at", "AT"},     {"actor", "ACTOR"},     {"action", "ACTION"},
    {"objectName", "OBJECT"}, {"peer", "FROM"}, {"outcome", "OUTCOME"}, {"detail", "DETAIL"}};
constexpr column block_columns[] = {
    {"kind", "KIND"}, {"name", "NAME"}, {"device", "DEVICE"}, {"since", "SINCE"}, {"actor", "BY"}};
constexpr column step_columns[] = {{"name", "STEP"}, {"ok", "OK"}, {"tookMillis", "MS"}, {"error", "ERROR"}};

constexpr std::string_view services = "/v1/storage-access-services";
constexpr std::string_view service = "/v1/storage-access-services/{name}";
constexpr std::string_view hook = "/v1/hooks/{name}";
constexpr std::string_view device_group = "/v1/device-groups/{group}";
constexpr std::string_view own_policy = "/v1/policy";
constexpr std::string_view group_policy = "/v1/device-groups/{group}/policy";
constexpr std::string_view device_policy = "/v1/devices/{device}/policy";
constexpr std::string_view topic = "/v1/devices/{device}/configuration/{instance}/{topic...}";

constexpr command all[] = {
    {"service", "create", "Give the fleet a storage", "POST", services, body_kind::service},
    {"service", "replace", "Replace a storage access service whole", "PUT", service, body_kind::service},
    {"service", "get", "Show one, without its secrets", "GET", service},
    {"service", "list", "List all", "GET", services, body_kind::none, {}, "services", service_columns},
    {"service", "delete", "Remove one; stored objects stay", "DELETE", service},
    {"service",
     "test",
     "Put, read and remove a canary object",
     "POST",
     "/v1/storage-access-services/{name}/test",
     body_kind::none,
     {},
     "steps",
     step_columns},
    {"service", "change", "Send so many devices in a hundred to another storage: begins that, or alters it", "PUT",
     "/v1/storage-access-services/{name}/change", body_kind::provider_change},
    {"service", "change-show", "How the change goes: uploads and errors at both storages", "GET",
     "/v1/storage-access-services/{name}/change"},
    {"service", "change-back", "Send all devices to the old storage again, at once", "POST",
     "/v1/storage-access-services/{name}/change/back"},
    {"service", "change-finish", "Give the service the other's configuration, for good", "POST",
     "/v1/storage-access-services/{name}/change/finish"},

    {"service",
     "block",
     "Grant nothing more for one, on every backend",
     "POST",
     "/v1/storage-access-services/{name}/block",
     body_kind::none,
     {},
     {},
     {},
     stream_kind::none,
     service_block_flags},
    {"service", "unblock", "Grant for it again", "POST", "/v1/storage-access-services/{name}/unblock"},

    {"device", "create", "Register a device; prints its credentials, once", "POST", "/v1/devices", body_kind::device},
    {"device", "list", "List devices", "GET", "/v1/devices", body_kind::none, page_query, "devices", device_columns},
    {"device", "get", "Show one", "GET", "/v1/devices/{device}"},
    {"device", "set-group", "Put it into a group, or without one into none", "PUT", "/v1/devices/{device}",
     body_kind::membership},
    {"device", "delete", "Remove one with all that belongs to it", "DELETE", "/v1/devices/{device}"},
    {"device",
     "block",
     "Disconnect it at once and refuse it",
     "POST",
     "/v1/devices/{device}/block",
     body_kind::none,
     {},
     {},
     {},
     stream_kind::none,
     block_flags},
    {"device", "unblock", "Admit it again", "POST", "/v1/devices/{device}/unblock"},
    {"device",
     "certificates",
     "List the certificates that it was issued",
     "GET",
     "/v1/devices/{device}/certificates",
     body_kind::none,
     {},
     "certificates",
     certificate_columns},
    {"device", "revoke-certificate", "Refuse one of its certificates at once; the others stay good", "DELETE",
     "/v1/devices/{device}/certificates/{serial}"},
    {"device", "state", "What it says of itself", "GET", "/v1/devices/{device}/state"},

    {"deployment", "get", "Show what a device is meant to run", "GET", "/v1/devices/{device}/deployment"},
    {"deployment", "set", "Set it from a manifest (--file)", "PUT", "/v1/devices/{device}/deployment", body_kind::file},
    {"deployment", "delete", "Stop all its modules", "DELETE", "/v1/devices/{device}/deployment"},

    {"config", "list", "List the configuration of a device", "GET", "/v1/devices/{device}/configuration"},
    {"config", "set", "Set one value", "PUT", topic, body_kind::value},
    {"config", "delete", "Remove one value", "DELETE", topic},

    {"command", "send", "Ask a module instance and wait for its answer", "POST",
     "/v1/devices/{device}/commands/{instance}/{method}", body_kind::parameters},

    {"module", "upload", "Upload a module file", "PUT", "/v1/modules/{module}", body_kind::upload},
    {"module", "list", "List module files", "GET", "/v1/modules", body_kind::none, {}, "modules", module_columns},
    {"module", "get", "Show one", "GET", "/v1/modules/{module}"},
    {"module", "delete", "Remove one that no deployment uses", "DELETE", "/v1/modules/{module}"},

    {"module",
     "block",
     "Grant nothing more to the instances that deployments make of one",
     "POST",
     "/v1/modules/{module}/block",
     body_kind::none,
     block_query,
     {},
     {},
     stream_kind::none,
     block_flags},
    {"module", "unblock", "Grant to its instances again", "POST", "/v1/modules/{module}/unblock", body_kind::none,
     block_query},

    {"instance",
     "block",
     "Grant nothing more to module instances of that name",
     "PUT",
     "/v1/blocked-instances/{instance}",
     body_kind::none,
     block_query,
     {},
     {},
     stream_kind::none,
     block_flags},
    {"instance", "unblock", "Grant to them again", "DELETE", "/v1/blocked-instances/{instance}", body_kind::none,
     block_query},
    {"block",
     "list",
     "What is blocked beside devices: storages, modules, module instances",
     "GET",
     "/v1/blocks",
     body_kind::none,
     {},
     "blocks",
     block_columns},

    {"upload", "list", "List the ledger of uploads, newest first", "GET", "/v1/uploads", body_kind::none, upload_query,
     "uploads", upload_columns},
    {"upload", "get", "Show one entry", "GET", "/v1/uploads/{grant}"},
    {"upload",
     "watch",
     "Show each change of a state as it happens; --after goes on from an earlier one",
     "GET",
     "/v1/uploads/events",
     body_kind::none,
     watch_query,
     {},
     watch_columns,
     stream_kind::events},

    {"hook", "set", "Tell a receiver of each finished upload, or change how", "PUT", hook, body_kind::hook},
    {"hook",
     "list",
     "List all, and how their deliveries go",
     "GET",
     "/v1/hooks",
     body_kind::none,
     {},
     "hooks",
     hook_columns},
    {"hook", "get", "Show one: what is pending, the last error, what was given up", "GET", hook},
    {"hook", "delete", "Remove one with what it was still to be told", "DELETE", hook},

    {"group", "set", "Make a group of devices, or describe it anew", "PUT", device_group, body_kind::group},
    {"group", "list", "List all", "GET", "/v1/device-groups", body_kind::none, {}, "deviceGroups", group_columns},
    {"group", "get", "Show one", "GET", device_group},
    {"group", "delete", "Remove one that has no devices, with its policy", "DELETE", device_group},

    {"policy", "set", "Replace the policy of the tenant", "PUT", own_policy, body_kind::policy},
    {"policy", "get", "Show it", "GET", own_policy},
    {"policy", "delete", "Remove it", "DELETE", own_policy},
    {"policy", "set-group", "Replace that of a group", "PUT", group_policy, body_kind::policy},
    {"policy", "get-group", "Show it", "GET", group_policy},
    {"policy", "delete-group", "Remove it", "DELETE", group_policy},
    {"policy", "set-device", "Replace that of a device", "PUT", device_policy, body_kind::policy},
    {"policy", "get-device", "Show it", "GET", device_policy},
    {"policy", "delete-device", "Remove it", "DELETE", device_policy},
    {"policy", "effective", "Show what counts for a device, and where each field was stated", "GET",
     "/v1/devices/{device}/policy?effective=true"},

    {"audit", "list", "List who did what, newest first", "GET", "/v1/audit", body_kind::none, audit_query, "records",
     audit_columns},
    {"audit",
     "export",
     "Write all records, as JSON lines",
     "GET",
     "/v1/audit/export",
     body_kind::none,
     {},
     {},
     {},
     stream_kind::lines},
    {"audit",
     "verify",
     "Recompute the chain of the backend's records, or of an export (--file)",
     "GET",
     "/v1/audit/export",
     body_kind::none,
     {},
     {},
     {},
     stream_kind::chain},

    {"tenant", "create", "Let another party share the installation", "POST", "/v1/tenants", body_kind::tenant},
    {"tenant", "list", "List all", "GET", "/v1/tenants", body_kind::none, {}, "tenants", tenant_columns},
    {"tenant", "get", "Show one", "GET", "/v1/tenants/{tenant}"},
    {"tenant", "delete", "Remove one to which nothing belongs any more", "DELETE", "/v1/tenants/{tenant}"},

    {"key", "create", "Make an API key; prints it, once", "POST", "/v1/api-keys", body_kind::api_key, key_query},
    {"key", "list", "List the tenant's keys", "GET", "/v1/api-keys", body_kind::none, key_query, "apiKeys",
     key_columns},
    {"key", "get", "Show one, without the key itself", "GET", "/v1/api-keys/{key}", body_kind::none, key_query},
    {"key", "delete", "Refuse it from now on", "DELETE", "/v1/api-keys/{key}", body_kind::none, key_query},

    {"enrolment", "create", "Make a token by which a device, or so many of a fleet, get a certificate; prints it, once",
     "POST", "/v1/enrolment-tokens", body_kind::enrolment_token},
    {"enrolment",
     "list",
     "List tokens",
     "GET",
     "/v1/enrolment-tokens",
     body_kind::none,
     {},
     "enrolmentTokens",
     token_columns},
    {"enrolment", "delete", "Refuse it from now on", "DELETE", "/v1/enrolment-tokens/{token}"},

    {"master-key", "rotate", "Seal all secrets with a new master key", "POST", "/v1/master-key/rotate"},

    {"whoami", "", "Whose the token is, and what it may do", "GET", "/v1/caller"},
    {"health", "", "Whether the backend works", "GET", "/healthz"},
    {"metrics", "", "Counters in Prometheus' text format", "GET", "/metrics"},
};

constexpr group all_groups[] = {
    {"service", "Storage access services"},
    {"device", "Devices"},
    {"group", "Groups of devices"},
    {"policy", "Which storage devices may use, and how much"},
    {"deployment", "What devices run"},
    {"config", "Configuration of modules"},
    {"command", "Direct commands"},
    {"module", "Module files"},
    {"instance", "Module instances, by the name that they have on devices"},
    {"block", "What is granted nothing"},
    {"upload", "The ledger of uploads"},
    {"hook", "Receivers that are told of finished uploads"},
    {"tenant", "Who shares the installation"},
    {"key", "API keys: who may use the REST API"},
    {"enrolment", "Tokens by which devices get certificates"},
    {"master-key", "What all secrets are sealed with"},
    {"audit", "Who changed what and who was granted what"},
};

constexpr policy_flag all_policy_flags[] = {
    {"--default-storage", "defaultStorage", policy_flag::kind::text, "Storage of requests that name none"},
    {"--storages", "storages", policy_flag::kind::list, "Storages that may be used, comma-separated"},
    {"--operations", "operations", policy_flag::kind::list, "Of put and get, comma-separated"},
    {"--name-template", "nameTemplate", policy_flag::kind::text, "Such as {group}/{device}/{yyyy}/{MM}/{name}"},
    {"--max-size", "maxSize", policy_flag::kind::number, "Bytes of a file, at most"},
    {"--content-types", "contentTypes", policy_flag::kind::list, "Such as image/jpeg,video/*"},
    {"--grants-per-minute", "grantsPerMinute", policy_flag::kind::number, "Of a device, at most"},
    {"--bytes-per-day", "bytesPerDay", policy_flag::kind::number, "Uploads of a device in a day of UTC, at most"},
};

}  // namespace

std::span<const policy_flag> policy_flags() { return all_policy_flags; }
std::span<const command> commands() { return all; }
std::span<const group> groups() { return all_groups; }

}  // namespace evp::cli
