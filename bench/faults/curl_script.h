// The comparison: what a careful shell script with curl makes of the same files under the same faults.
#pragma once

#include "objects.h"
#include "world.h"

namespace evp::bench {

struct curl_result {
  unsigned succeeded = 0;  ///< files that curl called done
  unsigned lost = 0;       ///< not in the storage at the end; `unnoticed` of them curl called done
  unsigned unnoticed = 0, corrupt = 0;
  unsigned doubled = 0;  ///< files that the storage has taken more than once
  unsigned starts = 0;
  bool is_over = true;  ///< false: time was up
};

/// The script: eight at once as the runtime, each `curl --fail --retry 5`, and a list of what is done, so that a start
/// after a kill goes on there. A file that curl gives up on is left to the next start.
class curl_script {
 public:
  curl_script(world& w, const objects& storage, const place& p, std::uint64_t seed, unsigned files);
  /// Starts it, unless it runs or has come to its end.
  void start();
  /// False where it did not run.
  bool kill();
  bool is_over();
  unsigned done() const;
  curl_result judge(const objects& storage, std::uint64_t seed) const;

 private:
  world& world_;
  io::fs::path folder_;
  unsigned files_, starts_ = 0;
  std::unique_ptr<program> script_;
  bool killed_ = false;
};

}  // namespace evp::bench
