// The relative topics that devices use, read and written.
#include "wire/json.h"
#include "wire/messages.h"

namespace evp::wire {
namespace {

constexpr std::string_view request_prefix = "v1/devices/me/attributes/request/";
constexpr std::string_view response_prefix = "v1/devices/me/attributes/response/";
constexpr std::string_view rpc_request_prefix = "v1/devices/me/rpc/request/";
constexpr std::string_view rpc_response_prefix = "v1/devices/me/rpc/response/";

template <class T>
std::optional<topic> with_id(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix) || !is_decimal_id(text.substr(prefix.size()))) return std::nullopt;
  return T{std::string(text.substr(prefix.size()))};
}

}  // namespace

result<topic> parse_topic(std::string_view text) {
  if (text == attributes_topic) return attributes{};
  if (text == telemetry_topic) return telemetry{};
  if (auto t = with_id<attributes_request>(text, request_prefix)) return *t;
  if (auto t = with_id<attributes_response>(text, response_prefix)) return *t;
  if (auto t = with_id<rpc_request>(text, rpc_request_prefix)) return *t;
  if (auto t = with_id<rpc_response>(text, rpc_response_prefix)) return *t;
  return fail(errc::invalid_argument, "no topic of the protocol (docs/protocol.md)");
}

std::string to_string(const topic& t) {
  struct writer {
    std::string operator()(const attributes&) const { return std::string(attributes_topic); }
    std::string operator()(const telemetry&) const { return std::string(telemetry_topic); }
    std::string operator()(const attributes_request& r) const { return std::string(request_prefix) + r.id; }
    std::string operator()(const attributes_response& r) const { return std::string(response_prefix) + r.id; }
    std::string operator()(const rpc_request& r) const { return std::string(rpc_request_prefix) + r.id; }
    std::string operator()(const rpc_response& r) const { return std::string(rpc_response_prefix) + r.id; }
  };
  return std::visit(writer{}, t);
}

}  // namespace evp::wire
