#include "mqtt/codes.h"

#include <fmt/format.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>

#include <cstring>

namespace evp::mqtt {
namespace {

struct meaning {
  int code;
  errc kind;
  const char* text;
};

// https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html#_Table_3.1_-
constexpr meaning version4_codes[] = {
    {CONNACK_REFUSED_PROTOCOL_VERSION, errc::unsupported, "it does not speak this version of MQTT"},
    {CONNACK_REFUSED_IDENTIFIER_REJECTED, errc::invalid_argument, "it does not accept this client id"},
    {CONNACK_REFUSED_SERVER_UNAVAILABLE, errc::unavailable, "it is out of service at present"},
    {CONNACK_REFUSED_BAD_USERNAME_PASSWORD, errc::unauthenticated, "user name, password or certificate are wrong"},
    {CONNACK_REFUSED_NOT_AUTHORIZED, errc::unauthenticated, "user name, password or certificate are not accepted"},
};

// https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html#_Toc3901079
constexpr meaning version5_codes[] = {
    {MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION, errc::unsupported, "it does not speak this version of MQTT"},
    {MQTT_RC_CLIENTID_NOT_VALID, errc::invalid_argument, "it does not accept this client id"},
    {MQTT_RC_BAD_USERNAME_OR_PASSWORD, errc::unauthenticated, "user name, password or certificate are wrong"},
    {MQTT_RC_NOT_AUTHORIZED, errc::unauthenticated, "user name, password or certificate are not accepted"},
    {MQTT_RC_BANNED, errc::permission_denied, "this client is banned"},
    {MQTT_RC_PACKET_TOO_LARGE, errc::too_large, "the CONNECT packet is too large"},
};

template <std::size_t N>
const meaning* find(const meaning (&table)[N], int code) {
  for (const auto& row : table)
    if (row.code == code) return &row;
  return nullptr;
}

}  // namespace

error refused(int code, bool version5) {
  const meaning* row = version5 ? find(version5_codes, code) : find(version4_codes, code);
  if (row) return error(row->kind, fmt::format("the broker refused the connection: {} (CONNACK {})", row->text, code));
  return error(errc::unavailable, fmt::format("the broker refused the connection (CONNACK {})", code));
}

error not_accepted(int reason) {
  const bool denied = reason == MQTT_RC_NOT_AUTHORIZED;
  const errc kind = denied                             ? errc::permission_denied
                    : reason == MQTT_RC_QUOTA_EXCEEDED ? errc::rate_limited
                                                       : errc::unavailable;
  return error(kind, fmt::format("the broker did not accept the message: {} (PUBACK {})",
                                 mosquitto_reason_string(reason), reason));
}

error library_error(int rc, int saved_errno, std::string_view detail) {
  switch (rc) {
    case MOSQ_ERR_ERRNO:
      return error(errc::unavailable, fmt::format("the broker is out of reach: {}", std::strerror(saved_errno)));
    case MOSQ_ERR_EAI: return error(errc::unavailable, "the broker's host name does not resolve");
    case MOSQ_ERR_TLS: {
      auto text = fmt::format("TLS with the broker failed{}{}", detail.empty() ? "" : ": ", detail);
      return error(errc::unauthenticated, std::move(text));
    }
    case MOSQ_ERR_KEEPALIVE: return error(errc::unavailable, "the broker did not answer a ping in time");
    case MOSQ_ERR_CONN_LOST: return error(errc::unavailable, "the connection to the broker broke");
    case MOSQ_ERR_NO_CONN: return error(errc::unavailable, "not connected to the broker");
    case MOSQ_ERR_INVAL: return error(errc::invalid_argument, "the topic is empty or holds '+' or '#'");
    case MOSQ_ERR_MALFORMED_UTF8: return error(errc::invalid_argument, "the topic must be UTF-8");
    case MOSQ_ERR_PAYLOAD_SIZE: return error(errc::too_large, "the message exceeds what MQTT allows");
    case MOSQ_ERR_OVERSIZE_PACKET: return error(errc::too_large, "the message exceeds what the broker accepts");
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
      return error(errc::unsupported, "the broker does not offer this quality of service");
    default: return error(errc::unavailable, fmt::format("MQTT: {}", mosquitto_strerror(rc)));
  }
}

}  // namespace evp::mqtt
