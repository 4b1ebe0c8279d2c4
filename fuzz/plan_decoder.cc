// Fuzzes what a hub may answer a device: any text is decoded or refused, and what was decoded keeps its promises.
#include <cstdlib>
#include <string_view>

#include "wire/json.h"
#include "wire/messages.h"

namespace {

using namespace evp::wire;

void check(const std::vector<grant_part>& parts) {
  unsigned last = 0;
  for (const auto& p : parts) {
    if (p.number <= last || (p.method != "PUT" && p.method != "POST")) std::abort();
    if (p.offset > std::uint64_t(INT64_MAX) - p.length) std::abort();
    last = p.number;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto answer = decode_hub_response("17", text);
  if (!answer) return 0;
  if (const auto* grant = std::get_if<storage_token_response>(&*answer); grant && grant->plan) {
    const auto& plan = *grant->plan;
    check(plan.parts);
    if (plan.part_count == 0 || plan.parallel == 0 || plan.part_bytes == 0) std::abort();
    if (!plan.parts.empty() && plan.parts.back().number > plan.part_count) std::abort();
  }
  if (const auto* fresh = std::get_if<grant_renew_response>(&*answer)) check(fresh->parts);
  if (!is_decimal_id(reqid_of(*answer))) std::abort();
  return 0;
}
