// A simulated disk for tests: stricter than a real one, it forgets at a power cut whatever was not synced.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "io/disk.h"

namespace evp::io {

/// Thrown by a test's `before` to end the simulated process in the middle of a call.
struct simulated_crash {};

class forgetful_disk final : public disk {
 public:
  enum class call { list, read, create, append, truncate, sync, rename, remove, sync_folder };

  /// Asked before each call; may throw simulated_crash, or answer an error that the call then gives.
  std::function<std::optional<error>(call, const std::string& name)> before;
  /// Syncs for which this is true come back with success and do nothing: the proof that a sync is needed.
  std::function<bool(call, const std::string& name)> ignores;
  std::uint64_t capacity_bytes = 1ULL << 40;

  /// What a restart finds: unsynced bytes are lost, torn or garbled; of unsynced changes of names any subset was kept.
  void power_cut(std::mt19937_64& random);
  std::uint64_t used_bytes() const;
  std::uint64_t writes() const noexcept { return writes_; }  ///< calls that changed something or synced

  result<std::vector<file>> list() override;
  result<std::string> read(const std::string& name, std::size_t max_bytes) override;
  result<void> create(const std::string& name) override;
  result<void> append(const std::string& name, std::string_view bytes) override;
  result<void> truncate(const std::string& name, std::uint64_t size) override;
  result<void> sync(const std::string& name) override;
  result<void> rename(const std::string& from, const std::string& to) override;
  result<void> remove(const std::string& name) override;
  result<void> sync_folder() override;

 private:
  struct inode {
    std::string seen, durable;
  };
  using names = std::map<std::string, std::shared_ptr<inode>>;
  using change = std::function<void(names&)>;

  result<void> begin(call c, const std::string& name);
  result<std::shared_ptr<inode>> find(const std::string& name);

  names seen_, durable_;
  std::vector<change> unsynced_;  ///< of names, in order
  std::uint64_t writes_ = 0;
};

}  // namespace evp::io
