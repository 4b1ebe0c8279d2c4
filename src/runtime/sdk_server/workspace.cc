// Paths of modules, confined by the kernel. https://man7.org/linux/man-pages/man2/openat2.2.html
#include "runtime/sdk_server/workspace.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

namespace evp::runtime::socket {
namespace {

long open_how_at(int folder, const char* path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return ::syscall(SYS_openat2, folder, path, &how, sizeof how);
}

tl::unexpected<refused> refuse(int e) {
  // EXDEV is openat2's word for "leads out of the folder".
  return tl::unexpected(refused{e == EXDEV ? EPERM : e});
}

}  // namespace

result<workspace> workspace::open(std::string path, std::optional<uid_t> owner) {
  auto root = std::make_shared<io::unique_fd>(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!*root) return fail(errno_error(errno, path));
  const io::unique_fd probe(int(open_how_at(root->get(), ".", O_PATH | O_DIRECTORY)));
  if (!probe && errno == ENOSYS)
    return fail(errc::unsupported, "this kernel lacks openat2: Linux 5.6 or later is needed");
  if (!probe) return fail(errno_error(errno, path));
  return workspace(std::move(path), std::move(root), owner);
}

path_result<std::string> workspace::relative(std::string_view absolute) const {
  if (absolute.find('\0') != absolute.npos || absolute.size() >= 4096) return refuse(EPERM);
  if (!absolute.starts_with(path_) || absolute.size() <= path_.size() + 1 || absolute[path_.size()] != '/')
    return refuse(EPERM);
  auto rest = absolute.substr(path_.size() + 1);
  const std::string out(rest);
  while (!rest.empty()) {
    const auto end = rest.find('/');
    const auto part = rest.substr(0, end);
    if (part.empty() || part == "." || part == "..") return refuse(EPERM);
    if (end == rest.npos) return out;
    rest.remove_prefix(end + 1);
  }
  return refuse(EPERM);  // ends with '/'
}

path_result<io::unique_fd> workspace::open_beneath(const std::string& relative, std::uint64_t flags) const {
  for (int tries = 0; tries < 10; ++tries) {
    const long fd = open_how_at(root_->get(), relative.c_str(), flags);
    if (fd >= 0) return io::unique_fd(int(fd));
    if (errno != EAGAIN && errno != EINTR) break;  // EAGAIN: a rename raced with the look-up
  }
  return refuse(errno);
}

path_result<source_file> workspace::open_source(std::string_view absolute) const {
  auto name = relative(absolute);
  if (!name) return tl::unexpected(name.error());
  // O_NONBLOCK: opening a FIFO must not wait for its other end.
  auto fd = open_beneath(*name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return tl::unexpected(fd.error());
  struct stat st {};
  if (::fstat(fd->get(), &st) != 0) return refuse(errno);
  if (!S_ISREG(st.st_mode) || (owner_ && st.st_uid != *owner_)) return refuse(EPERM);
  const auto mtime_ns = std::int64_t(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec;
  return source_file{std::make_shared<io::unique_fd>(std::move(*fd)), std::uint64_t(st.st_size), mtime_ns, st.st_ino};
}

path_result<target_file> workspace::open_target(std::string_view absolute) const {
  auto name = relative(absolute);
  if (!name) return tl::unexpected(name.error());
  const auto slash = name->rfind('/');
  const std::string folder = slash == name->npos ? "." : name->substr(0, slash);
  auto leaf = slash == name->npos ? *name : name->substr(slash + 1);
  if (leaf.size() > 200) return refuse(ENAMETOOLONG);  // leaves room for the temporary name beside it
  auto fd = open_beneath(folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return tl::unexpected(fd.error());
  struct stat st {};
  if (::fstatat(fd->get(), leaf.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISLNK(st.st_mode)) return refuse(ELOOP);
    if (S_ISDIR(st.st_mode)) return refuse(EISDIR);
    if (!S_ISREG(st.st_mode)) return refuse(EPERM);
  }
  return target_file{std::make_shared<io::unique_fd>(std::move(*fd)), std::move(leaf)};
}

}  // namespace evp::runtime::socket
