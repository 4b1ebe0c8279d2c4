// A file that is being downloaded: written beside its target and renamed when complete, so an old file survives.
#pragma once

#include <memory>
#include <string>

#include "io/files.h"

namespace evp::runtime::upload {

/// Blocks for the disk. The temporary file goes with the object unless commit() succeeded.
class download_file {
 public:
  /// Creates ".evp-<random>.part" in the folder, owned by the folder's owner. Errors by errno, which is left in
  /// `number`.
  static result<download_file> create(std::shared_ptr<io::unique_fd> folder, std::string target_name, int& number);
  download_file(download_file&&) = default;
  ~download_file();

  int descriptor() const noexcept { return file_.get(); }
  /// fsync, rename over the target, fsync of the folder. Errors by errno, which is left in `number`.
  result<void> commit(int& number);

 private:
  download_file() = default;
  std::shared_ptr<io::unique_fd> folder_;
  std::string target_, temporary_;
  io::unique_fd file_;
};

}  // namespace evp::runtime::upload
