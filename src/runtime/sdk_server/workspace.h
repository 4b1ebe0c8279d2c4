// The folder that belongs to one instance, and the paths in it that its module may name.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/files.h"

namespace evp::runtime::socket {

/// A path that may not be used, as the errno value that modules see in a transfer's result.
struct refused {
  int error;
};
template <class T>
using path_result = tl::expected<T, refused>;

struct source_file {
  std::shared_ptr<io::unique_fd> fd;  ///< open for reading
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
};
struct target_file {
  std::shared_ptr<io::unique_fd> folder;
  std::string name;
};

/// Resolves below the folder only (openat2 with RESOLVE_BENEATH, _NO_SYMLINKS and _NO_MAGICLINKS), so no path, however
/// it changes under way, leads out of it. Calls block for the file system only.
class workspace {
 public:
  /// `owner`: when set, only files of this user may be read: a hard link to another's file is none of the module's.
  /// Errors: by errno (the folder cannot be opened), unsupported (no openat2: Linux before 5.6).
  static result<workspace> open(std::string path, std::optional<uid_t> owner);

  const std::string& path() const noexcept { return path_; }

  /// The regular file at an absolute path. Refused: ENOENT; ELOOP (a symbolic link on the way); EPERM (outside the
  /// workspace, "..", "//", a '/' at the end, no regular file, another's file); others by errno.
  path_result<source_file> open_source(std::string_view absolute) const;
  /// The existing folder and the name in it for a file that will be written. Refused as above; EISDIR if the name is
  /// a folder's.
  path_result<target_file> open_target(std::string_view absolute) const;
  /// The path relative to the workspace; purely by its text. Refused: EPERM.
  path_result<std::string> relative(std::string_view absolute) const;

 private:
  workspace(std::string path, std::shared_ptr<io::unique_fd> root, std::optional<uid_t> owner)
      : path_(std::move(path)), root_(std::move(root)), owner_(owner) {}
  path_result<io::unique_fd> open_beneath(const std::string& relative, std::uint64_t flags) const;

  std::string path_;
  std::shared_ptr<io::unique_fd> root_;
  std::optional<uid_t> owner_;
};

}  // namespace evp::runtime::socket
