// Many requests to the backend's REST API over a few connections that are kept alive.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "loop.h"

namespace evp::bench {

struct rest_request {
  std::string method, path, body;
};

/// Sends the requests that `next` gives for 0 to count - 1, one at a time on each connection, and hands on the bodies
/// of the answers. Returns the seconds that it took. An answer that is no success ends the program.
double rest_many(loop& l, std::uint16_t port, const std::string& token, std::size_t count, std::size_t connections,
                 const std::function<rest_request(std::size_t)>& next,
                 const std::function<void(std::size_t, std::string_view body)>& answered);

}  // namespace evp::bench
