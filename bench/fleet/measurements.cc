// What the measurements share: figures of a process, lines of the table, the check of a load.
#include "measurements.h"

#include <cstdarg>
#include <cstdio>

namespace evp::bench {

memory memory_of(pid_t pid) {
  const auto rss = kilobytes(pid, "status", "VmRSS:"), pss = kilobytes(pid, "smaps_rollup", "Pss:");
  if (rss < 0) give_up("/proc tells nothing of process " + std::to_string(pid));
  return {double(rss) * 1024, double(pss < 0 ? rss : pss) * 1024};  // PSS of evp-backend is root's to read
}

void print_figure(const std::string& what, const std::string& value) {
  std::printf("%-46s %s\n", what.c_str(), value.c_str());
  std::fflush(stdout);
}

void print_figure(const std::string& what, const std::string& value, const std::string& bound, bool holds) {
  print_figure(what, value + "   to reach " + bound + ": " + (holds ? "yes" : "NO"));
}

std::string text(const char* format, ...) {
  char out[256];
  va_list rest;
  va_start(rest, format);
  std::vsnprintf(out, sizeof out, format, rest);
  va_end(rest);
  return out;
}

load_report checked(load_report r, const char* who) {
  if (r.answered == 0) give_up(std::string("no answer from ") + who + " to " + std::to_string(r.asked) + " requests");
  if (r.refused > r.answered / 100)
    give_up(std::string(who) + " refused " + std::to_string(r.refused) + " of " + std::to_string(r.asked) +
            " requests: " + r.first_refusal);
  return r;
}

}  // namespace evp::bench
