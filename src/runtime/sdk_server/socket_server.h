// A module's socket: accepts its process, reads frames, answers them, holds its long poll.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "io/task.h"
#include "runtime/sdk_server/session.h"

namespace evp::runtime::socket {

/// Confined to its executor. One client at a time; another one, or one of another user, is closed at once. Whatever
/// comes that is no message of the protocol closes the connection, and hurts nobody else.
class socket_server {
 public:
  /// Listens at the path with mode 0600, owned by `user` (replaces an old socket). Errors: invalid_argument (longer
  /// than a socket path may be), others by errno.
  static result<std::unique_ptr<socket_server>> listen(io::executor ex, const std::string& path, uid_t user,
                                                       std::shared_ptr<session> s);
  /// Closes the connection and removes the socket.
  ~socket_server();
  /// A module is connected now.
  bool connected() const noexcept;

 private:
  struct state;
  explicit socket_server(std::shared_ptr<state> s) : state_(std::move(s)) {}
  std::shared_ptr<state> state_;
};

}  // namespace evp::runtime::socket
