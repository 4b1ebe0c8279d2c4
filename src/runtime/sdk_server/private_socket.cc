#include "runtime/sdk_server/private_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/files.h"

namespace evp::runtime::socket {

result<int> bind_private_socket(const std::string& path, uid_t user) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(errc::invalid_argument, "the socket's path has more than 107 characters: choose a shorter data folder");
  std::memcpy(address.sun_path, path.data(), path.size());
  io::unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(errno_error(errno, "socket"));
  ::unlink(path.c_str());
  // A socket gets its mode from fchmod before bind (unix(7)), so there is no moment at which others could connect.
  if (::fchmod(fd.get(), 0600) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(errno_error(errno, path));
  if ((user != ::geteuid() && ::lchown(path.c_str(), user, gid_t(user)) != 0) || ::chmod(path.c_str(), 0600) != 0 ||
      ::listen(fd.get(), 4) != 0)
    return fail(errno_error(errno, path));
  return ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3);
}

}  // namespace evp::runtime::socket
