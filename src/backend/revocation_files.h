// The lists of revoked certificates of the operator's issuers: files that are read again when they change.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/revocations.h"
#include "base/revocation_list.h"
#include "io/files.h"
#include "io/pool.h"

namespace evp::backend {

struct revocation_files_options {
  std::vector<io::fs::path> lists;  ///< PEM or DER, one list each
  io::fs::path issuers;             ///< PEM: whose lists they are
};

/// Confined to its executor. What a file has is refused where it is not signed by its issuer, cannot be read, or was
/// made before what the file had: the last good list stays then. One that is out of date holds, and is told of.
class revocation_files {
 public:
  static constexpr milliseconds look_every{5'000};

  /// Borrows all of it.
  revocation_files(io::executor ex, revocations& to, io::pool& disk, const io::clock& clock,
                   revocation_files_options options);
  /// Reads all, then looks again and again. Errors: those of the issuers' file, and of a list that cannot be used:
  /// without it, certificates that were revoked would be let in.
  io::task<result<void>> start();
  io::task<void> stop() { co_await tasks_.stop(); }
  /// Looks once. By itself start() does.
  io::task<void> look();

  struct state {
    bool good = false;  ///< what the file had last is in force, and the next list is not overdue
    std::size_t entries = 0;
  };
  /// In the order of the options.
  std::vector<state> states() const;

 private:
  struct file {
    io::fs::path path;
    std::string seen;  ///< size, times and inode of what was read last
    std::optional<timestamp> this_update, next_update;
    std::size_t entries = 0;
    std::string problem;  ///< why what it has now is not in force; empty: it is
    bool told_overdue = false;
  };
  io::task<result<void>> read(file& f);
  bool is_overdue(const file& f) const { return f.next_update && *f.next_update < clock_.now(); }
  io::task<void> look_forever();

  revocations& to_;
  io::pool& disk_;
  const io::clock& clock_;
  revocation_files_options options_;
  std::string issuers_;
  std::vector<file> files_;
  io::group tasks_;
};

}  // namespace evp::backend
