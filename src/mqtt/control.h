// What the backend tells the broker plugin about devices, and the text form in which it travels: one command a line.
//
//   batch 17                            the number that the acknowledgement names
//   set cam-1 <64 hex digits | -> <- | b>    SHA-256 of the token, '-': certificate only; 'b': blocked
//   remove cam-2                        forget the device; disconnects it
//   kick cam-3                          disconnect it, nothing else
//   kick cam-3 17                       the same, if 17 is the number of its session (see presence)
//   revoke <64 hex digits>              a certificate's id (base/certificate_id.h): admits nobody, ends its session
//   restore <64 hex digits>             the opposite
//   observer <64 hex digits>            SHA-256 of the token of those who may hear of finished uploads
//   replace-begin                       from here to replace-end (in this or a later batch of the same connection) ...
//   replace-end                         ... "set" lines list all devices that exist, "revoke" lines all revoked
//                                       certificates; the others are removed, and restored
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace evp::mqtt::control {

inline constexpr std::string_view backend_username = "$backend";  ///< no device id: those begin with a letter or digit
/// Operators' clients: they hear below uploads_prefix and say nothing.
inline constexpr std::string_view observer_username = "$observer";
inline constexpr std::string_view topic = "$CONTROL/evp/v1";  ///< batches, from the backend only
/// "<number> ok" or "<number> <what was wrong>", to the sender of the batch alone, without a subscription.
inline constexpr std::string_view ack_topic = "evp/control/ack";
inline constexpr std::string_view uploads_prefix = "evp/uploads/";    ///< + device id + "/" + grant id
inline constexpr std::string_view presence_prefix = "evp/presence/";  ///< + device id; see presence
inline constexpr std::string_view upstream_prefix = "evp/devices/";   ///< + device id + "/" + X: from v1/devices/me/X
inline constexpr std::string_view downstream_prefix = "evp/to/";      ///< + device id + "/v1/devices/me/X"

/// The most that one message through the broker carries: devices' publishes, answers to them, batches. The public agent
/// has buffers of 128 KiB.
inline constexpr std::size_t message_max_bytes = 128 * 1024;

struct set_device {
  std::string id;
  std::string token_sha256;  ///< 32 raw bytes; empty: the device has no token and needs a certificate
  bool blocked = false;
  bool operator==(const set_device&) const = default;
};
struct remove_device {
  std::string id;
  bool operator==(const remove_device&) const = default;
};
struct kick_device {
  std::string id;
  std::uint64_t session = 0;  ///< 0: whichever it has
  bool operator==(const kick_device&) const = default;
};
struct set_observer {
  std::string token_sha256;  ///< 32 raw bytes
  bool operator==(const set_observer&) const = default;
};
struct revoke_certificate {
  std::string id;  ///< 32 raw bytes
  bool operator==(const revoke_certificate&) const = default;
};
struct restore_certificate {
  std::string id;  ///< 32 raw bytes
  bool operator==(const restore_certificate&) const = default;
};
struct replace_begin {
  bool operator==(const replace_begin&) const = default;
};
struct replace_end {
  bool operator==(const replace_end&) const = default;
};
using command = std::variant<set_device, remove_device, kick_device, set_observer, replace_begin, replace_end,
                             revoke_certificate, restore_certificate>;

struct batch {
  std::uint64_t number = 0;
  std::vector<command> commands;
  bool operator==(const batch&) const = default;
};

std::string encode(const batch& b);
/// Strict. Errors: too_large (message_max_bytes), invalid_argument (names the line).
result<batch> decode(std::string_view text);

/// The commands as messages that each fit message_max_bytes, numbered from first_number on.
std::vector<std::string> encode_all(std::uint64_t first_number, std::span<const command> commands);

/// A device's session at a broker has begun ("online <number> <age>") or ended ("offline <number>"). Begun sessions are
/// told again after each replace-end.
struct presence {
  bool online = false;
  std::uint64_t session = 0;  ///< differs from that of each other session at this broker, also after its restart
  milliseconds age{0};        ///< for how long it has been there: no clocks need to agree
  bool operator==(const presence&) const = default;
};
std::string encode(const presence& p);
/// Session and age are 0 where they lack: older plugins tell none. Errors: invalid_argument.
result<presence> decode_presence(std::string_view text);

struct acknowledgement {
  std::uint64_t number = 0;
  std::string problem;  ///< empty: the whole batch is applied
  bool operator==(const acknowledgement&) const = default;
};
std::string encode(const acknowledgement& a);
/// Errors: invalid_argument.
result<acknowledgement> decode_acknowledgement(std::string_view text);

}  // namespace evp::mqtt::control
