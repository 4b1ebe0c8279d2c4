// The queue on the disk: the journal, the spool, and the key that seals what modules bring themselves.
#pragma once

#include <memory>
#include <set>

#include "base/secret.h"
#include "io/disk.h"
#include "runtime/journal/journal.h"
#include "runtime/upload/queue.h"

namespace evp::runtime::upload {

/// Blocks for the disk. After open() each function may run on another thread than the one before, but not beside it.
class store {
 public:
  /// Opens `<folder>`, makes what lacks. Errors: by errno; data_corrupt (the key's file has another size).
  static result<std::unique_ptr<store>> open(const io::fs::path& folder);

  /// What the last run has left. What was damaged is logged.
  result<std::vector<journal::record>> recover();
  /// Removes every spooled file that is not wanted.
  result<void> clean_spool(const std::function<bool(operation_id)>& wanted);

  /// Carries out the queue's write.
  result<void> carry_out(const write& w);
  /// Copies `size` bytes of the file into the spool, durably. Gives their SHA-256 (32 bytes). Errors: by errno;
  /// data_corrupt (the file is shorter).
  result<std::string> spool(operation_id id, int fd, std::uint64_t size);
  /// The spooled file, open for reading.
  result<std::shared_ptr<io::unique_fd>> open_spooled(operation_id id) const;
  void drop_spooled(operation_id id);

  /// What a sealed text is for; it opens for nothing else.
  static std::string own_url_of(const std::string& instance);
  static std::string kept_grant_of(operation_id id);
  /// A URL and headers as text that only this device can read.
  static std::string seal(const secret& key, const std::string& purpose, const secret& url,
                          const http::headers& fields);
  /// Errors: data_corrupt.
  static result<grant> unseal(const secret& key, const std::string& purpose, std::string_view sealed);
  const secret& key() const noexcept { return key_; }
  std::uint64_t damaged_bytes() const noexcept { return damaged_bytes_; }

 private:
  store() = default;
  io::fs::path folder_;
  std::unique_ptr<io::posix_disk> files_, spool_;
  std::unique_ptr<journal::journal> journal_;
  secret key_;
  std::uint64_t damaged_bytes_ = 0;
};

}  // namespace evp::runtime::upload
