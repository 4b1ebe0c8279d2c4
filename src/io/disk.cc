// The folder on the real disk: openat and friends beneath one descriptor.
#include "io/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace evp::io {

result<std::unique_ptr<posix_disk>> posix_disk::open(const fs::path& folder) {
  CHECK(make_directories(folder));
  unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail(errno_error(errno, folder.string()));
  // A folder that a crash takes away would take its files with it.
  CHECK(sync_directory(folder.parent_path()));
  return std::unique_ptr<posix_disk>(new posix_disk(folder, std::move(fd)));
}

result<std::vector<disk::file>> posix_disk::list() {
  std::vector<file> found;
  const int copy = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* d = copy >= 0 ? ::fdopendir(copy) : nullptr;
  if (!d) return fail(failed(""));
  while (const dirent* e = ::readdir(d)) {
    struct stat st {};
    if (::fstatat(folder_.get(), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
      found.push_back({e->d_name, std::uint64_t(st.st_size)});
  }
  ::closedir(d);
  return found;
}

result<std::string> posix_disk::read(const std::string& name, std::size_t max_bytes) {
  return read_file(path_ / name, max_bytes);
}

result<void> posix_disk::create(const std::string& name) {
  unique_fd fd(
      ::openat(folder_.get(), name.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail(failed(name));
  open_name_ = name;
  open_file_ = std::move(fd);
  return {};
}

result<int> posix_disk::opened(const std::string& name) {
  if (open_file_ && open_name_ == name) return open_file_.get();
  unique_fd fd(::openat(folder_.get(), name.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail(failed(name));
  open_name_ = name;
  open_file_ = std::move(fd);
  return open_file_.get();
}

result<void> posix_disk::append(const std::string& name, std::string_view bytes) {
  TRY(const int fd, opened(name));
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(failed(name));
    bytes.remove_prefix(std::size_t(n));
  }
  return {};
}

result<void> posix_disk::truncate(const std::string& name, std::uint64_t size) {
  TRY(const int fd, opened(name));
  if (::ftruncate(fd, off_t(size)) != 0) return fail(failed(name));
  return {};
}

result<void> posix_disk::sync(const std::string& name) {
  TRY(const int fd, opened(name));
  if (::fdatasync(fd) != 0) return fail(failed(name));
  return {};
}

result<void> posix_disk::rename(const std::string& from, const std::string& to) {
  if (::renameat(folder_.get(), from.c_str(), folder_.get(), to.c_str()) != 0) return fail(failed(from));
  if (open_name_ == to) open_file_.reset();
  if (open_name_ == from) open_name_ = to;
  return {};
}

result<void> posix_disk::remove(const std::string& name) {
  if (open_name_ == name) open_file_.reset();
  if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) return fail(failed(name));
  return {};
}

result<void> posix_disk::sync_folder() {
  if (::fsync(folder_.get()) != 0) return fail(failed(""));
  return {};
}

}  // namespace evp::io
