// Dates as HTTP's fields have them.
#pragma once

#include <string>

#include "base/time.h"

namespace evp {

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), whatever the locale. parse_http_date reads it.
std::string format_http_date(timestamp t);

}  // namespace evp
