// EVP messages between devices and the hub as structs, with codecs for both ends and both dialects (docs/protocol.md).
//
// Decoders never trust: every payload is bounded, checked UTF-8, at most 32 levels deep, without duplicate keys; what
// they do not know they ignore. Encoders produce compact JSON. All functions are pure and run on any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "base/time.h"

namespace evp::wire {

/// EVP2 over ThingsBoard-style topics, or EVP1 of older agents.
enum class dialect { evp1, evp2 };

/// The public agent's receive buffer: no message to a device may be larger (with topic and header to spare).
inline constexpr std::size_t max_message_bytes = 128 * 1024;
/// What deployment and configuration of one device may measure together, encoded as the GET response.
inline constexpr std::size_t max_shared_bytes = max_message_bytes - 1024;

// ---- topics, relative as devices use them ----
inline constexpr std::string_view attributes_topic = "v1/devices/me/attributes";
inline constexpr std::string_view telemetry_topic = "v1/devices/me/telemetry";
struct attributes_request {
  std::string id;
};  ///< v1/devices/me/attributes/request/<id>
struct attributes_response {
  std::string id;
};
struct rpc_request {
  std::string id;
};
struct rpc_response {
  std::string id;
};
struct attributes {};
struct telemetry {};
using topic = std::variant<attributes, telemetry, attributes_request, attributes_response, rpc_request, rpc_response>;
/// Errors: invalid_argument (no topic of the protocol; ids are 1 to 20 decimal digits).
result<topic> parse_topic(std::string_view text);
std::string to_string(const topic& t);

// ---- storage tokens (evp-d2c) ----
enum class blob_operation { put, get };

struct storage_token_request {
  std::string reqid;     ///< decimal digits; EVP1: the topic's id
  std::string filename;  ///< remote name, verbatim
  std::string instance;
  std::optional<std::string> key;  ///< storage name
  // Ours; absent from older agents:
  blob_operation operation = blob_operation::put;
  std::optional<std::uint64_t> size;
  std::optional<std::string> sha256;
  std::optional<std::string> content_type;
  std::vector<std::string> accept;  ///< "certificate/1", "report/1", "plan/1" ...; empty: an older agent
  bool offline = false;             ///< the grant is for later, when the hub may be out of reach; only with "offline/1"

  bool accepts(std::string_view what) const;
};

struct name_value {
  std::string name, value;
  friend bool operator==(const name_value&, const name_value&) = default;
};

/// The upload of one range of a file's bytes: sent as it stands, the range as its body, `body_prefix` and `body_suffix`
/// around it where there are some.
struct grant_part {
  unsigned number = 1;  ///< from 1
  std::string method;   ///< "PUT" or "POST"
  secret url;
  std::vector<name_value> headers;
  std::uint64_t offset = 0, length = 0;
  std::vector<int> expect;  ///< statuses that mean success; empty: any 2xx
  secret body_prefix, body_suffix;
};
inline constexpr std::size_t max_body_text_bytes = 8 * 1024;
inline constexpr unsigned max_plan_parts = 50'000;
inline constexpr std::size_t max_page_parts = 64;

/// How to upload a file in parts. The hub begins, commits and aborts the upload; a device only sends parts, any of them
/// again if need be, and reports when all are there.
struct grant_plan {
  std::uint64_t part_bytes = 0;  ///< of each part but the last
  unsigned part_count = 1;
  unsigned parallel = 1;          ///< at most so many at once; 1: in ascending order
  std::vector<grant_part> parts;  ///< the first page, ascending; others by grant_renew_request
};

/// A failure as it travels: `errorMessage` for every agent, `errorCode` and `retryAfterMillis` for ours.
struct storage_token_response {
  std::string reqid;
  std::optional<error> failure;
  secret url;
  std::vector<name_value> headers;
  std::optional<timestamp> expires_at;
  bool multifile = false;
  // Ours:
  blob_operation operation = blob_operation::put;
  std::string grant_id;
  std::string certificate_id;  ///< "sha256:<64 hex>" of the PEM text, or empty
  std::optional<milliseconds> expires_in;
  std::vector<int> expect;         ///< statuses that mean success; empty: any 2xx
  std::optional<grant_plan> plan;  ///< then url, headers and expect are empty
  bool offline = false;            ///< lives as long as the service's offline grants do
  bool create_only = false;        ///< the storage refuses it once its object exists: who may have used it asks first
};

/// Asks for parts of a plan: those of its next page, or fresh ones for those whose signatures have expired.
struct grant_renew_request {
  std::string reqid, grant_id;
  unsigned first_part = 1, last_part = 1;  ///< inclusive; the hub may answer with fewer, from first_part on
};
struct grant_renew_response {
  std::string reqid;
  std::optional<error> failure;  ///< not_found: the upload is gone, a new grant is needed
  std::optional<milliseconds> expires_in;
  std::vector<grant_part> parts;
};

struct certificate_request {
  std::string reqid, certificate_id;
};
struct certificate_response {
  std::string reqid;
  std::optional<error> failure;
  std::string certificate_id;
  std::string pem;
};

/// What became of a grant. `done` means the storage answered with success.
struct transfer_report {
  std::string reqid, grant_id;
  bool done = false;
  int http_status = 0;
  std::uint64_t bytes = 0;
  std::string sha256;   ///< hexadecimal, of what was sent; may be empty
  std::string message;  ///< for a failure, one sentence without URLs
};
struct transfer_report_response {
  std::string reqid;
  std::optional<error> failure;  ///< the object is not as reported, or could not be checked yet (temporary)
  bool verified = false;
};

using device_request = std::variant<storage_token_request, certificate_request, transfer_report, grant_renew_request>;
using hub_response =
    std::variant<storage_token_response, certificate_response, transfer_report_response, grant_renew_response>;

/// The id that such a message carries.
const std::string& reqid_of(const device_request& r);
const std::string& reqid_of(const hub_response& r);

// ---- direct commands (evp-c2d) ----
struct command_request {
  std::string reqid;  ///< decimal digits; EVP1: the topic's id
  std::string instance;
  std::string method;
  std::string params;  ///< JSON text
};
enum class command_status { ok, method_not_found, error };
struct command_response {
  std::string reqid;
  command_status status = command_status::ok;
  std::string response;  ///< text, as a rule JSON
  std::string error_message;
};

// ---- hub's end ----
/// A publish on rpc/request/<id> by a device. Tells the dialect by the form. Errors: invalid_argument (with the reqid's
/// topic id the hub can still answer; `unknown method` is unsupported).
result<std::pair<dialect, device_request>> decode_device_request(std::string_view topic_id, std::string_view payload);
std::string encode(dialect d, const hub_response& r);

/// A publish on rpc/response/<id> by a device: the answer to a command.
result<command_response> decode_command_response(std::string_view topic_id, std::string_view payload);
/// EVP2: params travel as a JSON string; EVP1: as JSON.
result<std::string> encode(dialect d, const command_request& c);

/// What a device says of itself on v1/devices/me/attributes. Any part may be absent.
struct client_attributes {
  std::optional<dialect> protocol;               ///< from systemInfo.protocolVersion
  std::optional<std::string> system_info;        ///< JSON text
  std::optional<std::string> deployment_status;  ///< JSON text, unwrapped from EVP1's string
  std::map<std::string, std::string> states;     ///< "<instance>/<topic>" -> bytes (EVP1: from base64)
};
/// `known` is the dialect this device has shown so far (decides whether states are base64).
result<client_attributes> decode_client_attributes(dialect known, std::string_view payload);
/// Checks that it is a JSON object with string keys and gives it back compact, for storing and showing.
result<std::string> decode_telemetry(std::string_view payload);

/// The state of the world for one device.
struct shared_attributes {
  std::optional<std::string> deployment;             ///< JSON text of an object
  std::map<std::string, std::string> configuration;  ///< "<instance>/<topic>" -> value bytes (UTF-8)
  std::vector<std::string> deleted_configuration;    ///< only in a patch: "<instance>/<topic>"
};
/// The answer to GET: {"shared":{...}} or {}.
std::string encode_attributes_response(dialect d, const shared_attributes& s);
/// A push: what changed.
std::string encode_attributes_patch(dialect d, const shared_attributes& s);

// ---- device's end (our runtime; EVP2 only) ----
std::string encode(const device_request& r);
/// A publish on rpc/response/<id> by the hub. Accepts what an older hub sends: `status` is not looked at.
result<hub_response> decode_hub_response(std::string_view topic_id, std::string_view payload);
/// A publish on rpc/request/<id> by the hub: a direct command. Accepts params as a string and as JSON.
result<command_request> decode_command_request(std::string_view topic_id, std::string_view payload);
std::string encode(const command_response& r);
/// Either a GET response ({"shared":...}) or a patch.
result<shared_attributes> decode_shared_attributes(std::string_view payload, bool is_response);

// ---- deployment manifest ----
struct module_spec {
  std::string impl;  ///< "spawn", "wasm", "python", "docker", "dlfcn"
  std::string entry_point;
  secret download_url;  ///< empty: nothing to download
  std::string hash;     ///< SHA-256, 64 lower-case hexadecimal digits, or empty without a URL
};
struct instance_spec {
  std::string module_id;
  std::map<std::string, std::string> publish, subscribe;  ///< alias -> topic name
  std::int64_t version = 1;
};
struct topic_spec {
  std::string type, topic;
};
struct deployment {
  std::string id;
  std::map<std::string, instance_spec> instances;
  std::map<std::string, module_spec> modules;
  std::map<std::string, topic_spec> publish_topics, subscribe_topics;
};
/// Checks everything that evp-wire.md C6 lists, so that no manifest can hurt an agent: mandatory fields, types, names
/// (check_name), references to modules, 64-digit hashes. Errors: invalid_argument at the JSON path
/// ("instanceSpecs.up.moduleId").
result<deployment> decode_deployment(std::string_view json);

}  // namespace evp::wire
