// How far the transfers are that run now: what the status shows and modules may hear.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/time.h"

namespace evp::runtime::upload {

/// Confined to its executor.
class progress {
 public:
  /// A transfer of the operation begins: of this part of it, or of the whole (0).
  void begin(std::uint64_t id, unsigned part, steady_time now) {
    auto& x = running_[id];
    if (x.parts.empty()) x.since = now;
    x.parts[part] = 0;
  }
  /// So many bytes of it have gone over the line; `base` of them before this transfer.
  void moved(std::uint64_t id, unsigned part, std::uint64_t bytes, std::uint64_t base = 0) {
    const auto found = running_.find(id);
    if (found == running_.end()) return;
    auto& kept = found->second.parts[part];
    const auto before = kept > base ? kept - base : 0;
    if (bytes > before) total_ += bytes - before;
    kept = base + bytes;
  }
  /// `bytes`: what it has moved in the end.
  void end(std::uint64_t id, unsigned part, std::uint64_t bytes) {
    const auto found = running_.find(id);
    if (found == running_.end()) return;
    const auto kept = found->second.parts.find(part);
    if (kept != found->second.parts.end() && bytes > kept->second) total_ += bytes - kept->second;
    found->second.parts.erase(part);
    if (found->second.parts.empty()) running_.erase(found);
  }

  struct transfer {
    std::uint64_t id = 0, moved = 0;
    steady_time since;
  };
  std::vector<transfer> all() const {
    std::vector<transfer> out;
    for (const auto& [id, x] : running_) out.push_back({id, of(id), x.since});
    return out;
  }
  std::uint64_t of(std::uint64_t id) const {
    std::uint64_t sum = 0;
    const auto found = running_.find(id);
    if (found == running_.end()) return 0;
    for (const auto& [part, bytes] : found->second.parts) sum += bytes;
    return sum;
  }
  /// By all transfers, ended ones too.
  std::uint64_t total() const noexcept { return total_; }

 private:
  struct operation {
    std::map<unsigned, std::uint64_t> parts;
    steady_time since;
  };
  std::map<std::uint64_t, operation> running_;
  std::uint64_t total_ = 0;
};

}  // namespace evp::runtime::upload
