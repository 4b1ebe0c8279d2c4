// Time as a parameter: production uses the system's clocks, tests a virtual one.
#pragma once

#include "base/time.h"

namespace evp::io {

class clock {
 public:
  virtual ~clock() = default;
  virtual timestamp now() const = 0;          ///< wall-clock time, may jump
  virtual steady_time steady() const = 0;     ///< only goes forward
};

/// The system's clocks. Any thread.
class system_clock final : public clock {
 public:
  timestamp now() const override {
    return std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
  }
  steady_time steady() const override { return std::chrono::steady_clock::now(); }
};

/// Stands still until a test moves it.
class manual_clock final : public clock {
 public:
  explicit manual_clock(timestamp start) : now_(start) {}
  timestamp now() const override { return now_; }
  steady_time steady() const override { return steady_; }
  void advance(milliseconds d) { now_ += d, steady_ += d; }

 private:
  timestamp now_;
  steady_time steady_{std::chrono::hours(1)};
};

}  // namespace evp::io
