// Frames: what one write adds to the journal, with its check; and the reader that survives torn and damaged files.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/journal/record.h"

namespace evp::runtime::journal {

inline constexpr std::size_t frame_head_bytes = 20;
inline constexpr std::size_t max_payload_bytes = 4 << 20;

/// Adds the payload (records, one after the other; whole ones) to `out` as frames, none longer than max_payload_bytes.
/// `durable`: every byte of the file before this offset is known to be synced.
void append_frames(std::string& out, std::string_view payload, std::uint64_t durable);

/// A part of a file that had been synced and cannot be read any more.
struct damage {
  std::uint64_t offset = 0, bytes = 0;
};

struct contents {
  std::vector<record> records;
  std::uint64_t good_bytes = 0;  ///< what follows was torn: cut it off
  std::vector<damage> damaged;   ///< at most max_damage; then the rest counts as one
};

/// Reads a whole file, whatever is in it.
contents read_frames(std::string_view file);

}  // namespace evp::runtime::journal
