// evpctl runtime status: what the runtime on this device does, for people.
#pragma once

#include <ostream>
#include <string>

#include "wire/runtime_status.h"

namespace evp::cli {

/// Queue, transfers with bars, storages, the latest failures. `width`: columns of the screen. `bytes_per_second`: of
/// all transfers; negative: not known.
void print_status(std::ostream& out, const wire::runtime_status& s, std::size_t width, double bytes_per_second);

/// Everything that a unix socket says until it hangs up, at most 1 MiB, within 10 s. Errors: by errno; too_large;
/// not_found (no such socket), permission_denied, unavailable (nobody listens).
result<std::string> read_unix_socket(const std::string& path);

}  // namespace evp::cli
