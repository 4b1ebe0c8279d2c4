// Times as the database's rows hold them: Unix time in milliseconds.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace evp::backend {

inline std::int64_t to_ms(timestamp t) { return t.time_since_epoch().count(); }
inline timestamp from_ms(std::int64_t ms) { return timestamp(milliseconds(ms)); }

}  // namespace evp::backend
