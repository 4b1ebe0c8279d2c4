// As much of MQTT as is needed (https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/,
// https://docs.oasis-open.org/mqtt/mqtt/v5.0/).
#include "mqtt_packets.h"

namespace evp::bench {

namespace {

constexpr std::size_t max_packet = 256 * 1024;

void append_u16(std::string& out, std::size_t n) {
  out += char(n >> 8 & 0xff);
  out += char(n & 0xff);
}
void append_text(std::string& out, std::string_view text) {
  append_u16(out, text.size());
  out += text;
}
/// Remaining length, and in version 5 the length of properties (2.2.3, 1.5.5).
void append_length(std::string& out, std::size_t n) {
  do {
    out += char((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
    n >>= 7;
  } while (n > 0);
}
std::string whole(char head, const std::string& body) {
  std::string out(1, head);
  append_length(out, body.size());
  return out + body;
}

std::size_t u16_at(std::string_view b, std::size_t at) {
  return std::size_t(static_cast<unsigned char>(b[at])) << 8 | static_cast<unsigned char>(b[at + 1]);
}
/// A length of up to four bytes. Moves `at` behind it.
reading read_length(std::string_view b, std::size_t& at, std::size_t& n) {
  n = 0;
  for (int shift = 0; shift < 28; shift += 7) {
    if (at >= b.size()) return reading::partial;
    const auto c = static_cast<unsigned char>(b[at++]);
    n |= std::size_t(c & 0x7f) << shift;
    if (c < 0x80) return reading::whole;
  }
  return reading::malformed;
}

bool read_publish(mqtt_version v, int qos, std::string_view body, packet& out) {
  if (body.size() < 2) return false;
  const auto length = u16_at(body, 0);
  if (body.size() < 2 + length) return false;
  out.topic = body.substr(2, length);
  body.remove_prefix(2 + length);
  if (qos > 0) {
    if (body.size() < 2) return false;
    out.to_acknowledge = std::uint16_t(u16_at(body, 0));
    body.remove_prefix(2);
  }
  if (v == mqtt_version::v5) {
    std::size_t at = 0, properties = 0;
    if (read_length(body, at, properties) != reading::whole || body.size() < at + properties) return false;
    body.remove_prefix(at + properties);
  }
  out.payload = body;
  return true;
}

}  // namespace

std::string connect_packet(mqtt_version v, const login& l, std::uint16_t keepalive_s) {
  std::string body;
  append_text(body, "MQTT");
  body += char(v);
  body += char(0xc2);  // user name, password, clean session
  append_u16(body, keepalive_s);
  if (v == mqtt_version::v5) body += '\0';
  append_text(body, l.client_id);
  append_text(body, l.username);
  append_text(body, l.password);
  return whole(0x10, body);
}

std::string subscribe_packet(mqtt_version v, std::uint16_t id, std::string_view filter, int qos) {
  std::string body;
  append_u16(body, id);
  if (v == mqtt_version::v5) body += '\0';
  append_text(body, filter);
  body += char(qos);
  return whole(char(0x82), body);
}

std::string puback_packet(std::uint16_t id) {
  std::string body;
  append_u16(body, id);
  return whole(0x40, body);
}

void append_publish(std::string& out, mqtt_version v, std::string_view topic, std::string_view payload) {
  const bool is_5 = v == mqtt_version::v5;
  out += char(0x30);
  append_length(out, 2 + topic.size() + is_5 + payload.size());
  append_text(out, topic);
  if (is_5) out += '\0';
  out += payload;
}

reading read_packet(mqtt_version v, std::string_view& bytes, packet& out) {
  std::size_t at = 1, length = 0;
  const auto seen = bytes.empty() ? reading::partial : read_length(bytes, at, length);
  if (seen != reading::whole) return seen;
  if (length > max_packet) return reading::malformed;
  if (bytes.size() < at + length) return reading::partial;
  const auto head = static_cast<unsigned char>(bytes[0]);
  const auto body = bytes.substr(at, length);
  bytes.remove_prefix(at + length);
  out = packet();
  switch (head >> 4) {
    case 2:
      if (body.size() < 2) return reading::malformed;
      out.what = packet::kind::connack;
      out.reason = static_cast<unsigned char>(body[1]);
      return reading::whole;
    case 3:
      out.what = packet::kind::publish;
      return read_publish(v, head >> 1 & 3, body, out) ? reading::whole : reading::malformed;
    case 9:
      if (body.size() < 3) return reading::malformed;
      out.what = packet::kind::suback;
      out.reason = static_cast<unsigned char>(body.back());
      return reading::whole;
    case 13: out.what = packet::kind::pingresp; return reading::whole;
    default: return reading::whole;
  }
}

}  // namespace evp::bench
