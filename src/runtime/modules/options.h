// What the operator decides about modules.
#pragma once

#include <unistd.h>

#include <optional>
#include <string>

#include "http/client.h"
#include "io/files.h"

namespace evp::runtime {

struct instances_options {
  io::fs::path data;  ///< the data folder, absolute; "modules" and "instances" are made in it
  /// Each instance runs under a user of its own; needs root.
  bool separate_users = ::geteuid() == 0;
  uid_t first_user = 64000, last_user = 64999;  ///< uid and gid of instances; no other accounts may lie in the range
  bool allow_file_urls = false;                 ///< modules may come from file:// URLs
  std::string ca_pem;                           ///< trust only this bundle for downloads; empty: the system's
  std::optional<http::proxy> via;

  // Limits of each module's process.
  std::uint64_t memory_bytes = 0;  ///< address space; 0: none
  std::uint64_t open_files = 256;
  std::uint64_t processes = 64;
  std::uint64_t max_module_bytes = 512ull << 20;

  milliseconds stop_grace{10'000};    ///< from the Exit event to SIGKILL
  milliseconds backoff_first{1'000};  ///< before a crashed module is started again; doubles
  milliseconds backoff_max{60'000};
  milliseconds healthy_after{60'000};  ///< a module that has run so long begins at backoff_first again
};

}  // namespace evp::runtime
