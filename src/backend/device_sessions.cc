#include "backend/device_sessions.h"

#include <algorithm>

namespace evp::backend {

void device_sessions::settle(entries::iterator at) {
  const auto n = at->second.size();
  if (n > 1)
    doubled_.insert(at->first);
  else
    doubled_.erase(at->first);
  if (n == 0) all_.erase(at);
}

void device_sessions::began(const std::string& device, device_session s) {
  const auto at = all_.try_emplace(device).first;
  auto& of = at->second;
  std::erase_if(of, [&](const auto& known) { return known.broker == s.broker; });
  // Of two that began at the same moment the one at the later broker counts: as good as the other, but the same always.
  const auto after = [](const device_session& a, const device_session& b) {
    return a.began != b.began ? a.began < b.began : a.broker < b.broker;
  };
  of.insert(std::upper_bound(of.begin(), of.end(), s, after), s);
  settle(at);
}

bool device_sessions::ended(const std::string& device, std::size_t broker, std::uint64_t number) {
  const auto at = all_.find(device);
  if (at == all_.end()) return true;
  std::erase_if(at->second, [&](const auto& s) { return s.broker == broker && (number == 0 || s.number == number); });
  const bool none = at->second.empty();
  settle(at);
  return none;
}

std::vector<std::string> device_sessions::lost(std::size_t broker) {
  std::vector<std::string> out;
  for (auto at = all_.begin(); at != all_.end();) {
    const auto here = at++;
    const auto gone = std::erase_if(here->second, [&](const auto& s) { return s.broker == broker; });
    if (gone == 0) continue;
    if (here->second.empty()) out.push_back(here->first);
    settle(here);
  }
  return out;
}

const device_session* device_sessions::present(std::string_view device) const {
  const auto at = all_.find(device);
  return at == all_.end() ? nullptr : &at->second.back();
}

std::vector<device_sessions::elder> device_sessions::elders(std::size_t limit) const {
  std::vector<elder> out;
  for (const auto& device : doubled_) {
    const auto& of = all_.find(device)->second;
    for (std::size_t i = 0; i + 1 < of.size() && out.size() < limit; ++i) out.push_back({device, of[i]});
    if (out.size() >= limit) break;
  }
  return out;
}

}  // namespace evp::backend
