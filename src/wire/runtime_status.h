// What evp-runtime says of itself on the device, on <data>/status.sock: one JSON object for each connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace evp::wire {

/// No URL, header or token is in it. Sizes in bytes.
struct runtime_status {
  /// One that is under way.
  struct transfer {
    std::uint64_t operation = 0;
    std::string instance, name, storage;
    bool is_upload = true;
    std::uint64_t moved = 0;
    std::uint64_t total = 0;  ///< 0: unknown
    milliseconds running{};
  };
  /// Where operations wait or run.
  struct storage {
    std::string name;  ///< empty: the default one
    std::uint64_t waiting = 0, active = 0;
    bool paused = false;  ///< it failed again and again: only a probe goes there
  };
  struct failure {
    timestamp at;
    std::uint64_t operation = 0;
    std::string instance, name, message;
  };
  struct counts {
    std::uint64_t accepted = 0, succeeded = 0, failed = 0, refused = 0, dropped = 0, quarantined = 0, lost_outcomes = 0;
  };

  std::string version;
  bool connected = false;  ///< to the broker
  milliseconds up{};
  std::uint64_t files = 0, bytes = 0, spooled = 0;              ///< in the queue
  std::uint64_t files_max = 0, bytes_max = 0, spooled_max = 0;  ///< its bounds
  std::uint64_t moved = 0;                                      ///< by all transfers since the start
  counts since_start;
  std::vector<transfer> transfers;
  std::vector<storage> storages;
  std::vector<failure> failures;  ///< the latest, newest first
};

inline constexpr std::size_t max_runtime_status_bytes = 1 << 20;

std::string encode(const runtime_status& s);
/// Errors: invalid_argument (no such object), too_large.
result<runtime_status> decode_runtime_status(std::string_view text);

}  // namespace evp::wire
