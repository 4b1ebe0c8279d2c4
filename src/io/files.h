// Files as the daemons use them: whole-file reads with a bound, durable replacement, owned descriptors.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace evp::io {

namespace fs = std::filesystem;

/// Owns a file descriptor.
class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~unique_fd() { reset(); }
  void reset() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// The whole file. Errors: not_found, permission_denied, too_large (more than max_bytes), others by errno.
result<std::string> read_file(const fs::path& path, std::size_t max_bytes);

/// Replaces the file so that after a crash it holds either the old or the new bytes: temporary file beside it, fsync,
/// rename, fsync of the folder. The mode applies to a new file. Blocks for the disk.
result<void> write_file_durably(const fs::path& path, std::string_view bytes, mode_t mode = 0600);

/// Creates the folder and its parents where missing; the last one gets the mode. Errors by errno.
result<void> make_directories(const fs::path& path, mode_t mode = 0700);

/// fsync of a folder, so that the names in it survive a power cut.
result<void> sync_directory(const fs::path& path);

}  // namespace evp::io
