// Table grant_counts: what devices with a quota were granted in the present minute and on the present day.
#pragma once

#include <cstdint>
#include <string>

#include "sql/database.h"

namespace evp::sql {

struct grant_count {
  std::int64_t minute = 0;  ///< Unix time in minutes
  std::int64_t grants = 0;  ///< in it
  std::int64_t day = 0;     ///< Unix time in days: a day of UTC
  std::int64_t bytes = 0;   ///< in it
};

/// All functions: database thread, in a transaction that holds the device alone (hold_device); errors: the
/// connection's. All 0 where nothing was counted yet.
result<grant_count> find_grant_count(connection& c, const std::string& device);
result<void> put_grant_count(connection& c, const std::string& device, const grant_count& n);

/// Adds to the day's bytes, never below 0, where that day is still the one that is counted. Needs no hold.
result<void> add_counted_bytes(connection& c, const std::string& device, std::int64_t day, std::int64_t bytes);

}  // namespace evp::sql
