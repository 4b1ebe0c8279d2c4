// The journal on a disk: opened after a crash, appended to, replaced as a whole. The only code that writes the queue.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/disk.h"
#include "runtime/journal/frame.h"

namespace evp::runtime::journal {

inline constexpr std::size_t max_file_bytes = 64 << 20;

/// What open() found.
struct recovered {
  std::vector<record> records;
  std::uint64_t torn_bytes = 0;  ///< cut off: written, but never synced
  std::vector<damage> damaged;   ///< lost although synced
};

/// Blocks for the disk; one thread at a time. Borrows the disk.
class journal {
 public:
  explicit journal(io::disk& d) : disk_(d) {}

  /// Reads the newest journal and removes what a crash has left of others. Where something was cut off or damaged, the
  /// next write must be rewrite(): needs_rewrite() says so. Errors: of the disk; too_large.
  result<recovered> open();
  /// Adds records (encoded, one after the other) to the end. With `sync` they survive when it comes back with success.
  /// After an error the next write must be rewrite(). Errors: of the disk; failed_precondition (needs_rewrite()).
  result<void> append(std::string_view records, bool sync);
  /// Replaces the journal by these records, durably. After an error the old one counts, or this one, and the next write
  /// must be rewrite() again. Errors: of the disk.
  result<void> rewrite(std::string_view records);

  bool needs_rewrite() const noexcept { return needs_rewrite_; }
  std::uint64_t size_bytes() const noexcept { return size_; }

 private:
  io::disk& disk_;
  std::uint64_t number_ = 0;  ///< in the present file's name; 0: there is none
  std::string name_;
  std::vector<std::string> stale_;  ///< older files: removed when a newer one is durable
  std::uint64_t size_ = 0, durable_ = 0;
  bool needs_rewrite_ = true;
};

}  // namespace evp::runtime::journal
