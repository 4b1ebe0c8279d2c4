#include "io/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/crypto.h"

namespace evp::io {

result<std::string> read_file(const fs::path& path, std::size_t max_bytes) {
  const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(errno_error(errno, path.string()));
  std::string out;
  char buffer[65536];
  for (;;) {
    const auto n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, path.string()));
    if (n == 0) return out;
    if (out.size() + std::size_t(n) > max_bytes)
      return fail(errc::too_large, path.string() + " is larger than " + std::to_string(max_bytes) + " bytes");
    out.append(buffer, std::size_t(n));
  }
}

result<void> sync_directory(const fs::path& path) {
  const unique_fd dir(::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || ::fsync(dir.get()) != 0) return fail(errno_error(errno, path.string()));
  return {};
}

result<void> write_file_durably(const fs::path& path, std::string_view bytes, mode_t mode) {
  const auto temporary = path.parent_path() / ("." + path.filename().string() + "." + random_id(8));
  unique_fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return fail(errno_error(errno, temporary.string()));
  const auto give_up = [&](int e) {
    ::unlink(temporary.c_str());
    return fail(errno_error(e, path.string()));
  };
  while (!bytes.empty()) {
    const auto n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return give_up(errno);
    bytes.remove_prefix(std::size_t(n));
  }
  if (::fsync(fd.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) return give_up(errno);
  return sync_directory(path.parent_path());
}

result<void> make_directories(const fs::path& path, mode_t mode) {
  std::error_code ec;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), ec);
  if (ec) return fail(errno_error(ec.value(), path.string()));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail(errno_error(errno, path.string()));
  if (!fs::is_directory(path, ec)) return fail(errno_error(ENOTDIR, path.string()));
  return {};
}

}  // namespace evp::io
