// When uploads may begin: windows of the day, in UTC.
#pragma once

#include <string_view>
#include <vector>

#include "base/time.h"

namespace evp::runtime::upload {

/// Pure. Without windows it is always open.
class schedule {
 public:
  struct window {
    std::chrono::minutes from{0}, to{0};  ///< of the day; `to` before `from`: over midnight
  };
  /// Reads "22:00-06:00,12:00-13:00"; empty: always open. Errors: invalid_argument.
  static result<schedule> parse(std::string_view text);

  bool is_open(timestamp t) const noexcept;
  /// How long until it opens; 0 while it is open.
  milliseconds until_open(timestamp t) const noexcept;

 private:
  std::vector<window> windows_;
};

}  // namespace evp::runtime::upload
