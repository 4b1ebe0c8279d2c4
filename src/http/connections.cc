// Who gives way when all connections are taken.
#include "http/connections.h"

#include <tuple>
#include <utility>

namespace evp::http {
namespace {

bool waits(const connections::entry& e) { return !e.closed && e.at != stage::work; }

/// The least gives way first.
auto rank(const connections::entry& e) {
  return std::tuple(-std::ptrdiff_t(e.peer->second), e.at == stage::body, e.since);
}

}  // namespace

connections::handle connections::add(std::string peer, std::function<void()> close, steady_time now) {
  const auto from = peers_.try_emplace(std::move(peer), 0).first;
  ++from->second;
  return all_.insert(all_.end(), entry{from, std::move(close), stage::handshake, now});
}

void connections::remove(handle which) {
  if (--which->peer->second == 0) peers_.erase(which->peer);
  all_.erase(which);
}

void connections::enter(handle which, stage at, steady_time now) {
  if (which->at == at) return;
  which->at = at;
  which->since = now;
}

void connections::close(entry& e) {
  if (std::exchange(e.closed, true)) return;
  e.close();
}

bool connections::displace() {
  entry* chosen = nullptr;
  for (auto& e : all_)
    if (waits(e) && (!chosen || rank(e) < rank(*chosen))) chosen = &e;
  if (!chosen) return false;
  ++counts.displaced;
  close(*chosen);
  return true;
}

void connections::close_idle() {
  for (auto& e : all_)
    if (e.at == stage::idle || e.at == stage::handshake) close(e);
}

void connections::close_all() {
  for (auto& e : all_) close(e);
}

}  // namespace evp::http
