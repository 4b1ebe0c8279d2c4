// A file that is being downloaded: written beside its target and renamed when complete, so an old file survives; an
// attempt goes on where an earlier one of the same operation was cut off.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/client.h"
#include "io/files.h"

namespace evp::runtime::upload {

/// Blocks for the disk, but ask(). Must stay where it is while the exchange that it was asked for runs.
///
/// What has arrived is kept in ".evp-<operation>.part", with the storage's strong ETag in an extended attribute: a
/// Range request with If-Range (RFC 9110, 13.1.5) gets the rest of these very bytes, or all of others. It is taken for
/// whole only while the machine has not started anew since, as unflushed bytes may be gone then; and where the file
/// system has no such attributes, each attempt begins anew.
class download_file {
 public:
  /// Opens or creates the file in the folder, owned by the folder's owner. Errors by errno, which is left in `number`.
  static result<download_file> open(std::shared_ptr<io::unique_fd> folder, std::string target_name,
                                    std::uint64_t operation, int& number);
  /// Removes what an operation that failed has left; nothing there is fine.
  static void remove(const io::unique_fd& folder, std::uint64_t operation) noexcept;

  /// The request asks for what lacks, and its answer goes into the file.
  void ask(http::request& r);
  /// Bytes that an earlier attempt has brought.
  std::uint64_t present() const noexcept { return present_; }
  /// Forgets what has arrived.
  void begin_anew() noexcept;
  /// fsync, rename over the target, fsync of the folder. Errors by errno, which is left in `number`; unavailable (the
  /// file is not as long as the storage said), then nothing of it is kept.
  result<void> commit(int& number);

 private:
  download_file() = default;
  result<void> begin(const http::response& head);
  void keep_validator(std::string_view etag) noexcept;

  std::shared_ptr<io::unique_fd> folder_;
  std::string target_, temporary_;
  io::unique_fd file_;
  std::uint64_t present_ = 0;
  std::string etag_;                        ///< of what is present
  std::optional<std::uint64_t> announced_;  ///< bytes of the whole object
};

}  // namespace evp::runtime::upload
