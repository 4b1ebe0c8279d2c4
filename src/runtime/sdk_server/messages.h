// What travels on a module's socket, as structs; the only file of the runtime that knows the FlatBuffers schema.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace evp::runtime::socket {

/// Frames carry at most this many bytes behind their header, either way (docs/protocol.md).
inline constexpr std::size_t max_message_bytes = 131072;

/// The values of EVP_RESULT (include/evp/sdk_types.h) that the runtime answers.
enum class answer : std::uint32_t {
  ok = 0,
  error = 3,
  inval = 4,
  nomem = 5,
  toobig = 6,
  again = 7,
  denied = 11,
  notsup = 12
};

/// The module's own tokens; they go back as they came.
struct tokens {
  std::uint64_t cb = 0, user = 0;
};

// ---- requests ----
struct get_event {
  std::uint64_t sec = 0, nsec = 0;          ///< absolute, realtime clock; any value may come
  std::vector<std::uint64_t> acknowledged;  ///< operations whose outcomes the module has processed
  bool outcomes = false;                    ///< those of earlier lives are wanted
  bool progress = false;                    ///< how far operations are is wanted
};
struct send_state {
  std::string topic, bytes;
  tokens back;
};
struct resend_configuration {};
/// The shapes of blob requests, by their tag on the wire.
enum class blob_form : std::uint8_t { signed_url = 1, named = 2, http = 3, http_ext = 4 };
struct blob_input {
  std::uint32_t type = 0, op = 0;
  blob_form form = blob_form::named;
  std::string url, remote_name;
  std::optional<std::string> storage_name;
  std::vector<std::string> headers;  ///< "name: value"
  std::string filename;
  tokens back;
  std::uint8_t priority = 1;
  bool spool = false;
  bool acknowledges = false;
};
struct send_telemetry {
  std::vector<std::pair<std::string, std::string>> entries;
  tokens back;
};
struct send_message {
  std::string topic, bytes;
  tokens back;
};
struct rpc_answer {
  std::uint64_t id = 0;
  std::optional<std::string> response;
  std::uint32_t status = 0;
  tokens back;
};
struct stream_parameters {};
using request = std::variant<get_event, send_state, resend_configuration, blob_input, send_telemetry, send_message,
                             rpc_answer, stream_parameters>;

/// Verifies every byte before it is used. `bytes` must be aligned to 8. Errors: invalid_argument (no message of the
/// protocol: the connection cannot be trusted any more).
result<request> decode_request(std::string_view bytes);

// ---- events ----
struct configuration_event {
  std::string topic, bytes;
};
/// What the callback of a state, message, telemetry or command answer gets. `reason` is the SDK's value.
struct done_event {
  enum class kind { state, message, telemetry, rpc_response } what = kind::state;
  tokens back;
  std::uint32_t reason = 0;
};
struct blob_event {
  blob_form form = blob_form::named;
  tokens back;
  std::uint32_t reason = 0;  ///< 0 done, 1 exit
  std::uint32_t result = 0, error = 0, http_status = 0;
  std::uint64_t operation = 0;  ///< to be acknowledged; 0: not
};
struct earlier_event {
  std::uint64_t operation = 0;
  std::uint32_t op = 0;
  std::string remote_name;
  std::uint32_t result = 0, error = 0, http_status = 0;
};
struct progress_event {
  std::uint64_t operation = 0, moved = 0, total = 0;
};
struct message_event {
  std::string topic, bytes;
};
struct rpc_event {
  std::uint64_t id = 0;
  std::string method, params;
};
struct exit_event {};
using event = std::variant<configuration_event, done_event, blob_event, message_event, rpc_event, earlier_event,
                           progress_event, exit_event>;

std::string encode(const event& e);
/// The answer to a long poll when nothing has happened.
std::string encode_no_event();
/// `operation`: the id of the blob operation that was accepted.
std::string encode_simple(answer a, std::uint64_t operation = 0);
/// Streams are not offered.
std::string encode_stream_parameters(answer a);

}  // namespace evp::runtime::socket
