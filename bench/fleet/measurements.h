// What evp-fleet measures, one function for each part of its table.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>

#include "fleet_world.h"

namespace evp::bench {

constexpr std::size_t spare_files = 200;  ///< that this program opens beside the devices' connections

struct sizes {
  std::vector<std::size_t> devices{100, 5'000, 19'000};  ///< connected at once, ascending
  std::size_t outstanding = 1'000;
  std::chrono::milliseconds time{5'000};  ///< of one measurement
  int rounds = 3;                         ///< of backend and echo in turn; medians count
  std::size_t alone = 1'000;              ///< requests of one device alone
  std::size_t registered = 1'000'000;     ///< devices in the database
  std::size_t few_registered = 1'000;     ///< to compare with
  std::size_t reads = 50'000;             ///< of the REST API, of each kind
  std::size_t open_files = 0;             ///< that this program may have
  mqtt_version version = mqtt_version::v311;
};

/// Storage tokens beside the echo with so many devices connected, latencies, memory, REST reads. Prints as it goes.
json::object measure_rates(const sizes& s, const io::fs::path& folder, const io::fs::path& programs);
/// Start, memory and latency with few devices in the database, and with many. Prints as it goes.
json::object measure_registry(const sizes& s, const io::fs::path& folder, const io::fs::path& programs);

/// Of a process, in bytes.
struct memory {
  double rss = 0, pss = 0;
};
memory memory_of(pid_t pid);

/// A line of the table: what, how much (as text), and where there is a bound, which one and whether it holds.
void print_figure(const std::string& what, const std::string& value);
void print_figure(const std::string& what, const std::string& value, const std::string& bound, bool holds);
/// printf to a string.
std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// Ends the program where nobody answers, or more than one in a hundred is refused.
load_report checked(load_report r, const char* who);

}  // namespace evp::bench
