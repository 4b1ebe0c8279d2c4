// Fuzzes what a device may publish, in both dialects: any topic and payload is decoded or refused, what was decoded
// keeps its promises, and what is said of it again is understood.
#include <cstdlib>
#include <string_view>

#include "wire/json.h"
#include "wire/messages.h"

namespace {

using namespace evp::wire;

void check_request(std::string_view payload) {
  const auto decoded = decode_device_request("17", payload);
  if (!decoded) return;
  const auto& [dialect, request] = *decoded;
  if (!is_decimal_id(reqid_of(request))) std::abort();
  if (const auto* t = std::get_if<storage_token_request>(&request); t && t->sha256 && t->sha256->size() != 64)
    std::abort();
  if (const auto* r = std::get_if<grant_renew_request>(&request);
      r && (r->first_part < 1 || r->last_part < r->first_part))
    std::abort();
  if (dialect == evp::wire::dialect::evp2) {  // our own runtime's form of it means the same
    const auto again = decode_device_request("17", encode(request));
    if (!again || again->second.index() != request.index() || reqid_of(again->second) != reqid_of(request))
      std::abort();
  }
}

void check_attributes(dialect known, std::string_view payload) {
  const auto a = decode_client_attributes(known, payload);
  if (!a) return;
  if (a->system_info && !parse_json(*a->system_info, 1 << 20)) std::abort();
  if (a->deployment_status && !parse_json(*a->deployment_status, 1 << 20)) std::abort();
}

}  // namespace

// The first line is the topic, the rest the payload.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto end = std::min(text.find('\n'), text.size());
  const auto payload = text.substr(std::min(end + 1, text.size()));
  if (const auto t = parse_topic(text.substr(0, end)); t && to_string(*t) != text.substr(0, end)) std::abort();
  check_request(payload);
  check_attributes(dialect::evp1, payload);
  check_attributes(dialect::evp2, payload);
  if (const auto c = decode_command_response("17", payload); c && !is_decimal_id(c->reqid)) std::abort();
  if (const auto t = decode_telemetry(payload); t && !parse_json_object(*t, 1 << 20)) std::abort();
  return 0;
}
