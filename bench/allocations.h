// Counts what a program takes from the heap: in programs that link allocations.cc every operator new is counted.
#pragma once

#include <cstdint>

namespace evp::bench {

/// Calls of operator new so far, on all threads.
std::uint64_t allocations() noexcept;

}  // namespace evp::bench
