// Fuzzes the reader of the queue's journal: any bytes are read to the end, within the file, and what was read can be
// written and read again.
#include <cstdlib>
#include <string_view>

#include "runtime/journal/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace evp::runtime::journal;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto found = read_frames(file);
  if (found.good_bytes > file.size()) std::abort();
  std::string payload, again;
  for (const auto& r : found.records) payload += encode(r);
  append_frames(again, payload, 0);
  const auto second = read_frames(again);
  if (second.records != found.records || second.good_bytes != again.size() || !second.damaged.empty()) std::abort();

  std::string_view left = file;  // the records without frames around them: the check keeps mutations out there
  while (!left.empty()) {
    const auto before = left.size();
    if (!take_record(left)) break;
    if (left.size() >= before) std::abort();
  }
  return 0;
}
