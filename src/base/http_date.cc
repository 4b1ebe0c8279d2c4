#include "base/http_date.h"

#include <fmt/chrono.h>

namespace evp {

std::string format_http_date(timestamp t) {
  const auto whole = std::chrono::floor<seconds>(t).time_since_epoch().count();
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time_t(whole)));
}

}  // namespace evp
