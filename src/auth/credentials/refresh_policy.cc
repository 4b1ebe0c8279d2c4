#include "auth/credentials/refresh_policy.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "auth/credentials/credential_counts.h"
#include "base/crypto.h"

namespace evp::auth {
namespace {

constexpr milliseconds ageless = std::chrono::hours(24 * 365);  // the life of what never expires: keeps sums in range

milliseconds part_of(milliseconds d, double part) { return milliseconds(std::int64_t(double(d.count()) * part)); }

}  // namespace

double random_fraction() {
  std::uint64_t bits = 0;
  const auto bytes = random_bytes(sizeof bits);
  std::memcpy(&bits, bytes.data(), sizeof bits);
  return double(bits >> 11) / double(1ULL << 53);
}

refresh_policy::refresh_policy(const io::clock& clock, refresh_options options, std::function<double()> random)
    : clock_(clock), options_(options), random_(std::move(random)) {
  health_.since = clock_.now();
}

void refresh_policy::fetched(timestamp expires_at) {
  count_credential_fetch(true);
  const auto now = clock_.now();
  life_ = expires_at - now > ageless || expires_at == timestamp::max() ? ageless : expires_at - now;
  expires_at_ = expires_at;
  fetched_at_ = clock_.steady();
  const auto part = options_.refresh_from + (options_.refresh_to - options_.refresh_from) * random_();
  refresh_at_ = fetched_at_ + std::max(part_of(life_, part), options_.refresh_soonest);
  failure_.reset();
  retry_at_.reset();
  failures_ = 0;
  if (!health_.healthy) health_ = {.since = now};
}

void refresh_policy::failed(const error& e) {
  count_credential_fetch(false);
  const bool outage = is_temporary(e.code());
  if (failure_ && is_temporary(failure_->code()) != outage) failures_ = 0;
  failure_ = e;
  const auto first = outage ? options_.outage_first : options_.refusal_first;
  const auto most = outage ? options_.outage_max : options_.refusal_max;
  auto wait = first;
  for (int i = 0; i < failures_ && wait < most; ++i) wait *= 2;
  wait = jittered(std::min(wait, most));
  if (const auto asked = e.retry_after()) wait = std::max(wait, std::min(*asked, options_.retry_after_max));
  ++failures_;
  retry_at_ = clock_.steady() + wait;

  const auto since = health_.healthy ? clock_.now() : health_.since;
  health_ = {.healthy = false, .code = e.code(), .reason = e.message(), .since = since};
}

void refresh_policy::rejected() {
  expires_at_.reset();
  const auto soonest = fetched_at_ + options_.refresh_soonest;
  if (clock_.steady() >= soonest) return;
  failed(error(errc::unauthenticated,
               "the storage refuses a credential that was only just issued: check its permissions"));
  retry_at_ = soonest;
}

bool refresh_policy::lives(milliseconds wanted) const {
  if (!expires_at_) return false;
  const auto needed = std::min(std::max(wanted, options_.reserve), life_ / 10);
  const bool yes = *expires_at_ == timestamp::max() || *expires_at_ - clock_.now() > needed;
  if (yes) count_credential_hit();  // the cache asks this before it gives one, and gives it then
  return yes;
}

bool refresh_policy::due() const { return expires_at_ && clock_.steady() >= refresh_at_; }

std::optional<error> refresh_policy::held_back() const {
  if (!retry_at_ || clock_.steady() >= *retry_at_) return std::nullopt;
  auto e = *failure_;
  return std::move(e).after(std::chrono::ceil<milliseconds>(*retry_at_ - clock_.steady()));
}

milliseconds refresh_policy::jittered(milliseconds d) const { return d / 2 + part_of(d / 2, random_()); }

}  // namespace evp::auth
