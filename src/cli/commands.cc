// The commands of evpctl: a row each.
#include "cli/commands.h"

namespace evp::cli {
namespace {

constexpr std::string_view page_query[] = {"limit", "cursor"};
constexpr std::string_view watch_query[] = {"device", "service", "state", "since"};
constexpr std::string_view upload_query[] = {"device", "service", "state", "since", "limit", "cursor"};

constexpr column service_columns[] = {{"name", "NAME"},
                                      {"type", "TYPE"},
                                      {"endpoint", "ENDPOINT"},
                                      {"expirationDuration", "EXPIRES"},
                                      {"updatedAt", "UPDATED"}};
constexpr column device_columns[] = {
    {"id", "ID"}, {"online", "ONLINE"}, {"blocked", "BLOCKED"}, {"createdAt", "CREATED"}};
constexpr column module_columns[] = {
    {"id", "ID"}, {"sizeBytes", "BYTES"}, {"sha256", "SHA-256"}, {"createdAt", "CREATED"}};
constexpr column upload_columns[] = {{"issuedAt", "ISSUED"}, {"device", "DEVICE"}, {"service", "STORAGE"},
                                     {"object", "OBJECT"},   {"state", "STATE"},   {"sizeBytes", "BYTES"},
                                     {"grantId", "GRANT"}};
constexpr column watch_columns[] = {{"sequence", ""}, {"updatedAt", ""}, {"state", ""}, {"device", ""},
                                    {"service", ""},  {"object", ""},    {"reason", ""}};
constexpr column hook_columns[] = {{"name", "NAME"},           {"url", "URL"},          {"pending", "PENDING"},
                                   {"delivered", "DELIVERED"}, {"givenUp", "GIVEN UP"}, {"lastError", "LAST ERROR"}};
constexpr column step_columns[] = {{"name", "STEP"}, {"ok", "OK"}, {"tookMillis", "MS"}, {"error", "ERROR"}};

constexpr std::string_view services = "/v1/storage-access-services";
constexpr std::string_view service = "/v1/storage-access-services/{name}";
constexpr std::string_view hook = "/v1/hooks/{name}";
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

    {"device", "create", "Register a device; prints its credentials, once", "POST", "/v1/devices", body_kind::device},
    {"device", "list", "List devices", "GET", "/v1/devices", body_kind::none, page_query, "devices", device_columns},
    {"device", "get", "Show one", "GET", "/v1/devices/{device}"},
    {"device", "delete", "Remove one with all that belongs to it", "DELETE", "/v1/devices/{device}"},
    {"device", "block", "Disconnect it at once and refuse it", "POST", "/v1/devices/{device}/block"},
    {"device", "unblock", "Admit it again", "POST", "/v1/devices/{device}/unblock"},
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
     true},

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

    {"health", "", "Whether the backend works", "GET", "/healthz"},
    {"metrics", "", "Counters in Prometheus' text format", "GET", "/metrics"},
};

constexpr group all_groups[] = {
    {"service", "Storage access services"}, {"device", "Devices"},
    {"deployment", "What devices run"},     {"config", "Configuration of modules"},
    {"command", "Direct commands"},         {"module", "Module files"},
    {"upload", "The ledger of uploads"},    {"hook", "Receivers that are told of finished uploads"},
};

}  // namespace

std::span<const command> commands() { return all; }
std::span<const group> groups() { return all_groups; }

}  // namespace evp::cli
