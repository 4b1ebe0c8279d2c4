// How many files the process may have open, and so how many connections.
#pragma once

#include <cstddef>

namespace evp::apps {

/// Raises the soft limit of open files so that `wanted` connections fit beside the rest, where the hard limit lets it.
/// It is often 1024, for the sake of programs that use select(); here nothing does. As many connections as there may
/// be: at most those wanted, and where it is fewer the log says why.
std::size_t raise_open_files(std::size_t wanted);

}  // namespace evp::apps
