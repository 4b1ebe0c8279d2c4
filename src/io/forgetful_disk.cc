// The simulated disk: what is seen now, and what a power cut would leave.
#include "io/forgetful_disk.h"

#include <algorithm>
#include <cerrno>

namespace evp::io {

namespace {
constexpr std::size_t sector_bytes = 512;

int pick(std::mt19937_64& random, int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); }

/// What is left of bytes that were appended but not synced: a part, in which whole sectors may be missing.
void tear(std::string& bytes, std::size_t from, std::mt19937_64& random) {
  if (pick(random, 0, 2) > 0) bytes.resize(from + std::size_t(pick(random, 0, int(bytes.size() - from))));
  for (std::size_t at = from; at < bytes.size(); at += sector_bytes) {
    if (pick(random, 0, 3) > 0) continue;
    const auto end = std::min(bytes.size(), at + sector_bytes);
    std::fill(bytes.begin() + std::ptrdiff_t(at), bytes.begin() + std::ptrdiff_t(end), char(pick(random, 0, 1) * 0x5a));
  }
}
}  // namespace

void forgetful_disk::power_cut(std::mt19937_64& random) {
  auto left = durable_;
  for (const auto& c : unsynced_)
    if (pick(random, 0, 1) == 0) c(left);
  for (auto& [name, node] : left) {
    if (node->seen == node->durable) continue;
    if (node->seen.starts_with(node->durable)) {
      tear(node->seen, node->durable.size(), random);
    } else if (pick(random, 0, 1) == 0) {
      node->seen = node->durable;
    }
    node->durable = node->seen;
  }
  seen_ = durable_ = left;
  unsynced_.clear();
}

std::uint64_t forgetful_disk::used_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, node] : seen_) sum += node->seen.size();
  return sum;
}

result<void> forgetful_disk::begin(call c, const std::string& name) {
  if (c != call::list && c != call::read) ++writes_;
  if (!before) return {};
  auto why = before(c, name);
  if (why) return fail(std::move(*why));
  return {};
}

result<std::shared_ptr<forgetful_disk::inode>> forgetful_disk::find(const std::string& name) {
  const auto found = seen_.find(name);
  if (found == seen_.end()) return fail(errno_error(ENOENT, name));
  return found->second;
}

result<std::vector<disk::file>> forgetful_disk::list() {
  CHECK(begin(call::list, ""));
  std::vector<file> out;
  for (const auto& [name, node] : seen_) out.push_back({name, node->seen.size()});
  return out;
}

result<std::string> forgetful_disk::read(const std::string& name, std::size_t max_bytes) {
  CHECK(begin(call::read, name));
  TRY(const auto node, find(name));
  if (node->seen.size() > max_bytes) return fail(errc::too_large, name + " is larger than the bound");
  return node->seen;
}

result<void> forgetful_disk::create(const std::string& name) {
  CHECK(begin(call::create, name));
  if (const auto old = seen_.find(name); old != seen_.end()) {
    old->second->seen.clear();
    return {};
  }
  auto node = std::make_shared<inode>();
  seen_[name] = node;
  unsynced_.push_back([name, node](names& n) { n[name] = node; });
  return {};
}

result<void> forgetful_disk::append(const std::string& name, std::string_view bytes) {
  CHECK(begin(call::append, name));
  TRY(const auto node, find(name));
  const auto room = capacity_bytes - std::min(capacity_bytes, used_bytes());
  node->seen += bytes.substr(0, std::min<std::uint64_t>(room, bytes.size()));
  if (room < bytes.size()) return fail(errno_error(ENOSPC, name));
  return {};
}

result<void> forgetful_disk::truncate(const std::string& name, std::uint64_t size) {
  CHECK(begin(call::truncate, name));
  TRY(const auto node, find(name));
  node->seen.resize(std::size_t(size));
  return {};
}

result<void> forgetful_disk::sync(const std::string& name) {
  CHECK(begin(call::sync, name));
  TRY(const auto node, find(name));
  if (ignores && ignores(call::sync, name)) return {};
  node->durable = node->seen;
  return {};
}

result<void> forgetful_disk::rename(const std::string& from, const std::string& to) {
  CHECK(begin(call::rename, from));
  TRY(const auto node, find(from));
  const auto move = [from, to, node](names& n) {
    if (const auto old = n.find(from); old != n.end() && old->second == node) n.erase(old);
    n[to] = node;
  };
  move(seen_);
  unsynced_.push_back(move);
  return {};
}

result<void> forgetful_disk::remove(const std::string& name) {
  CHECK(begin(call::remove, name));
  const auto found = seen_.find(name);
  if (found == seen_.end()) return {};
  const auto node = found->second;
  seen_.erase(found);
  unsynced_.push_back([name, node](names& n) {
    if (const auto old = n.find(name); old != n.end() && old->second == node) n.erase(old);
  });
  return {};
}

result<void> forgetful_disk::sync_folder() {
  CHECK(begin(call::sync_folder, ""));
  if (ignores && ignores(call::sync_folder, "")) return {};
  durable_ = seen_;
  unsynced_.clear();
  return {};
}

}  // namespace evp::io
