// Fuzzes what a module may send to its runtime: any bytes are decoded or refused, without a read beyond them.
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "runtime/sdk_server/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace evp::runtime::socket;
  if (size > max_message_bytes) return 0;
  std::vector<std::uint64_t> aligned((size + 7) / 8);  // on the heap, with its true end at most 7 bytes off
  if (size > 0) std::memcpy(aligned.data(), data, size);
  const auto request = decode_request({reinterpret_cast<const char*>(aligned.data()), size});
  if (!request) return 0;
  std::size_t text = 0;  // offsets may lead to one place from many: what is copied must not grow by that
  if (const auto* blob = std::get_if<blob_input>(&*request))
    for (const auto& h : blob->headers) text += h.size();
  if (const auto* telemetry = std::get_if<send_telemetry>(&*request))
    for (const auto& [key, value] : telemetry->entries) text += key.size() + value.size();
  if (text > max_message_bytes) std::abort();
  return 0;
}
