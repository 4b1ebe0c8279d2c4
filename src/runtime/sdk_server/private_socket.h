// A unix socket that one user of the machine may connect to.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"

namespace evp::runtime::socket {

/// The descriptor, listening, of a new socket at that path, owned by the user, with mode 0600 from the first moment;
/// what stood there before goes. Errors: by errno; invalid_argument (the path is longer than a socket's can be).
result<int> bind_private_socket(const std::string& path, uid_t user);

}  // namespace evp::runtime::socket
