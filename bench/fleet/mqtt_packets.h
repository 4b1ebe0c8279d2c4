// As much of MQTT 3.1.1 and 5 as a simulated device and the echo need: packets written, packets read with bounds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace evp::bench {

enum class mqtt_version : std::uint8_t { v311 = 4, v5 = 5 };

struct login {
  std::string client_id, username, password;
};

std::string connect_packet(mqtt_version v, const login& l, std::uint16_t keepalive_s);
std::string subscribe_packet(mqtt_version v, std::uint16_t id, std::string_view filter, int qos);
std::string puback_packet(std::uint16_t id);
/// QoS 0, at the end of `out`.
void append_publish(std::string& out, mqtt_version v, std::string_view topic, std::string_view payload);
inline constexpr std::string_view ping_packet("\xc0\x00", 2);

/// One packet that came; views end with the bytes that were read.
struct packet {
  enum class kind { connack = 2, publish = 3, suback = 9, pingresp = 13, other = 0 };
  kind what = kind::other;
  int reason = 0;  ///< of connack and suback: 0 (or a granted QoS) is good, from 0x80 on, or 1 to 5 of a connack, bad
  std::string_view topic, payload;
  std::optional<std::uint16_t> to_acknowledge;  ///< a publish at QoS 1
};

enum class reading { whole, partial, malformed };
/// Reads the packet at the beginning of `bytes` and takes it away from there; where there is no whole one, leaves them.
/// Malformed: also one that is longer than the broker may send (256 KiB).
reading read_packet(mqtt_version v, std::string_view& bytes, packet& out);

}  // namespace evp::bench
