#include "judge.h"

namespace evp::bench {
namespace {

constexpr const char* object_folder = "faults/uploader/";  // device and instance
constexpr std::size_t offences_max = 20;

bool contradict(const told_outcome& a, const told_outcome& b) {
  return a.id != b.id || a.result != b.result || a.http_status != b.http_status || a.error != b.error;
}

}  // namespace

std::string object_of(const attempt_key& k) { return object_folder + name_of(k); }

std::map<std::string, unsigned> successes(const records& r) {
  std::map<std::string, unsigned> numbers;
  for (const auto& [key, a] : r.attempts)
    if (!a.told.empty() && a.told.front().result == 0) numbers.emplace(object_of(key), key.first);
  return numbers;
}

verdict judge(const records& r, const object_states& found, const ledger_states& ledger) {
  verdict v;
  std::map<std::uint64_t, attempt_key> owners;
  const auto offence = [&](unsigned& counter, const attempt_key& k, const char* what) {
    ++counter;
    if (v.offences.size() < offences_max) v.offences.push_back(name_of(k) + ": " + what);
  };
  for (const auto& [object, states] : ledger) {
    v.grants += unsigned(states.size());
    v.grants_verified += unsigned(states.count("verified"));
  }
  for (const auto& [key, a] : r.attempts) {
    v.accepted += a.accepted;
    v.refused += a.refused;
    if (a.told.empty()) {
      if (a.accepted) offence(v.lost, key, "accepted, and its outcome was never told");
      continue;
    }
    const auto& first = a.told.front();
    if (!a.accepted) ++v.unrecorded;
    if (a.refused) offence(v.doubled, key, "refused, and carried out all the same");
    if (a.accepted && first.id != a.id) offence(v.doubled, key, "told under another id than it was accepted with");
    if (!owners.emplace(first.id, key).second) offence(v.doubled, key, "shares its id with another one");
    for (std::size_t i = 1; i < a.told.size(); ++i) {
      ++v.told_again;
      if (contradict(first, a.told[i])) offence(v.doubled, key, "told two different outcomes");
      if (a.told[i].is_own || a.told[i].life == a.told[i - 1].life) offence(v.doubled, key, "told twice in one life");
    }
    const auto rows = ledger.find(object_of(key));
    const bool is_verified = rows != ledger.end() && rows->second.contains("verified");
    if (first.result != 0) {
      ++v.failed;
      if (is_verified) offence(v.doubled, key, "told as failed, but verified in the ledger");
      continue;
    }
    ++v.succeeded;
    const auto is = found.at(object_of(key));
    if (is == object_state::missing) offence(v.lost, key, "told as a success, and not in the storage");
    if (is == object_state::wrong) offence(v.corrupt, key, "other bytes in the storage");
    if (!is_verified) offence(v.doubled, key, "told as a success, but not verified in the ledger");
  }
  return v;
}

}  // namespace evp::bench
