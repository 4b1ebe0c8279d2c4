// The device's files as the uploader reaches them: by instance and path, opened anew each time.
#pragma once

#include <memory>
#include <string>

#include "io/files.h"

namespace evp::runtime::upload {

/// An errno value, as modules see it.
template <class T>
using errno_result = tl::expected<T, int>;

struct opened_source {
  std::shared_ptr<io::unique_fd> fd;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
};
struct opened_target {
  std::shared_ptr<io::unique_fd> folder;
  std::string name;
};

/// Paths are relative to the instance's workspace and never lead out of it, whatever has happened to it meanwhile.
class local_files {
 public:
  virtual ~local_files() = default;
  /// The regular file, open for reading. Errors: ENOENT, ELOOP, EPERM and others.
  virtual errno_result<opened_source> open_source(const std::string& instance, const std::string& path) = 0;
  /// The existing folder, and the name in it, of a file that will be written. Errors as above, EISDIR.
  virtual errno_result<opened_target> open_target(const std::string& instance, const std::string& path) = 0;
};

}  // namespace evp::runtime::upload
