// Which fault happens when: a pure function of the seed.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace evp::bench {

using std::chrono::milliseconds;

enum class fault { runtime, backend, broker, gateway, network, storm, disk };
inline constexpr std::array fault_names = {
    "runtime killed", "backend and broker killed", "broker killed", "S3 gateway killed",
    "network cut",    "storage in a storm",        "disk full"};

struct fault_event {
  milliseconds at{0}, lasts{0};  ///< from the start; how long until it is mended
  fault what = fault::runtime;
};

/// In the order of `at`; one fault never overlaps itself, others do.
std::vector<fault_event> make_schedule(std::uint64_t seed, milliseconds until);

}  // namespace evp::bench
