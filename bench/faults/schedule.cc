#include "schedule.h"

#include <algorithm>
#include <random>

namespace evp::bench {
namespace {

/// How often, on the average, and for how long. Cuts outlast the life of a grant (10 s) now and then.
struct habit {
  fault what;
  double every_s;
  int least_ms, most_ms;
};
constexpr habit habits[] = {
    {fault::runtime, 20, 0, 3'000},   {fault::backend, 30, 0, 4'000},    {fault::broker, 30, 0, 0},
    {fault::gateway, 40, 0, 4'000},   {fault::network, 40, 500, 20'000}, {fault::storm, 45, 2'000, 10'000},
    {fault::disk, 60, 2'000, 10'000},
};

}  // namespace

std::vector<fault_event> make_schedule(std::uint64_t seed, milliseconds until) {
  std::vector<fault_event> all;
  std::mt19937_64 random(seed);
  for (const auto& h : habits) {
    std::exponential_distribution<> gap(1 / h.every_s);
    std::uniform_int_distribution<> length(h.least_ms, h.most_ms);
    auto at = milliseconds(int(gap(random) * 1'000));
    while (at < until) {
      const milliseconds lasts(length(random));
      all.push_back({at, lasts, h.what});
      at += lasts + milliseconds(1'000 + int(gap(random) * 1'000));
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  return all;
}

}  // namespace evp::bench
