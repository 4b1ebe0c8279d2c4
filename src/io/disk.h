// One folder of files as a journal needs it: the seam between the real disk and a simulated one that forgets at a
// crash.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/files.h"

namespace evp::io {

/// Names are plain file names without '/'. Every call blocks for the disk; one thread at a time. What a call has done
/// survives a power cut only where sync() of the file, and sync_folder() for its name, have come back with success.
/// Errors of all: by errno; not_found where the file lacks; unavailable where there is no room.
class disk {
 public:
  struct file {
    std::string name;
    std::uint64_t size = 0;
  };

  virtual ~disk() = default;
  /// The regular files in the folder, in no order.
  virtual result<std::vector<file>> list() = 0;
  /// The whole file. Errors: too_large (more than max_bytes).
  virtual result<std::string> read(const std::string& name, std::size_t max_bytes) = 0;
  /// Makes an empty file of mode 0600; an old one of that name is emptied.
  virtual result<void> create(const std::string& name) = 0;
  /// Adds to the end of an existing file. After an error any part of the bytes may be there.
  virtual result<void> append(const std::string& name, std::string_view bytes) = 0;
  virtual result<void> truncate(const std::string& name, std::uint64_t size) = 0;
  /// The file's bytes and size survive from now on. After an error nothing is known of what was written since the last
  /// success, and another try proves nothing.
  virtual result<void> sync(const std::string& name) = 0;
  /// Replaces `to` if it exists.
  virtual result<void> rename(const std::string& from, const std::string& to) = 0;
  /// A missing file counts as removed.
  virtual result<void> remove(const std::string& name) = 0;
  /// The folder's names survive from now on.
  virtual result<void> sync_folder() = 0;
};

/// The folder on the real disk. It is made (mode 0700) with its parents where it lacks.
class posix_disk final : public disk {
 public:
  /// Errors by errno.
  static result<std::unique_ptr<posix_disk>> open(const fs::path& folder);

  result<std::vector<file>> list() override;
  result<std::string> read(const std::string& name, std::size_t max_bytes) override;
  result<void> create(const std::string& name) override;
  result<void> append(const std::string& name, std::string_view bytes) override;
  result<void> truncate(const std::string& name, std::uint64_t size) override;
  result<void> sync(const std::string& name) override;
  result<void> rename(const std::string& from, const std::string& to) override;
  result<void> remove(const std::string& name) override;
  result<void> sync_folder() override;

 private:
  posix_disk(fs::path path, unique_fd folder) : path_(std::move(path)), folder_(std::move(folder)) {}
  result<int> opened(const std::string& name);
  error failed(const std::string& name) const { return errno_error(errno, (path_ / name).string()); }

  fs::path path_;
  unique_fd folder_;
  std::string open_name_;  ///< the file that was last appended to stays open
  unique_fd open_file_;
};

}  // namespace evp::io
