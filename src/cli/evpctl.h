// evpctl: everything the REST API can do, for people and scripts.
#pragma once

#include <functional>
#include <istream>
#include <ostream>

#include "http/client.h"

namespace evp::cli {

/// Exit statuses, also in --help.
enum exit_status : int {
  ok = 0,
  refused = 1,       ///< the backend refused the request, or the tested service does not work
  usage = 2,         ///< wrong arguments, or a file that cannot be read
  unreachable = 3,   ///< no answer: address, TLS, time-out
  server_error = 4,  ///< the backend failed (5xx)
};

/// What the program touches beside its arguments.
struct surroundings {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool terminal = false;  ///< standard output is one
  std::function<const char*(const char* name)> environment;
  std::function<result<http::response>(http::request)> send;
  std::size_t columns = 80;  ///< of the terminal
  /// All that a unix socket says: read_unix_socket.
  std::function<result<std::string>(const std::string& path)> read_socket = {};
  /// False: stop watching.
  std::function<bool(milliseconds)> wait = {};
};

/// Parses the arguments, sends one request, shows its answer; `runtime status` asks the runtime on this machine
/// instead.
int run(int argc, const char* const* argv, surroundings& s);

}  // namespace evp::cli
