// Blobs in a module's memory travel through files below ".evp-spool" in its workspace.
#pragma once

#include <memory>
#include <string>

#include "evp/sdk_blob.h"

namespace evp::sdk {

/// The largest blob that may be sent from memory: it passes through the flash of a small device.
inline constexpr std::size_t max_spooled_bytes = std::size_t(1) << 30;

/// One spooled blob; the file goes when this does.
class spooled_blob {
 public:
  explicit spooled_blob(std::string path) : path_(std::move(path)) {}
  ~spooled_blob();
  spooled_blob(const spooled_blob&) = delete;
  spooled_blob& operator=(const spooled_blob&) = delete;
  const std::string& path() const noexcept { return path_; }

  /// Fills the file through the callback. Errors: EVP_FAULT (the callback failed), EVP_NOMEM (no space), EVP_ERROR.
  EVP_RESULT fill(EVP_BLOB_IO_CALLBACK io, std::size_t size, void* user);
  /// Gives the file to the callback in order. Returns an errno value; EIO if the callback failed.
  int drain(EVP_BLOB_IO_CALLBACK io, void* user);

 private:
  std::string path_;
};

/// A name for a new blob; makes the folder where it lacks. Null if it cannot be made (errno says why).
std::unique_ptr<spooled_blob> new_spooled_blob(const std::string& workspace);
/// Removes what an earlier life of this module has left behind.
void clean_spool(const std::string& workspace);

}  // namespace evp::sdk
