// What evp-faults tells: the faults that happened, and what became of the files.
#pragma once

#include "curl_script.h"
#include "judge.h"
#include "schedule.h"

namespace evp::bench {

struct options {
  unsigned files = 10'000, minutes = 30;
  std::uint64_t seed = 0;
  bool with_curl = true, keep = false;
};

struct storm_report {
  std::array<unsigned, fault_names.size()> faults{};
  std::array<unsigned, harm_names.size()> harms{};
  double seconds = 0, settling_seconds = 0;
  bool is_over = false;
};

struct ours_report {
  storm_report storm;
  verdict found;
  unsigned lives = 0, ended_by_itself = 0, put_again = 0;
  std::vector<std::string> reasons;  ///< what the runtime said of files that it told as failed
};

struct curl_report {
  storm_report storm;
  curl_result found;
};

/// A table, then one line of JSON.
void print(const options& o, bool is_root, const ours_report& ours, const curl_report* curl);

}  // namespace evp::bench
