// How far long work has come: one line on stderr, rewritten; nothing where stderr is no terminal.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace evp::bench {

class progress {
 public:
  progress(const char* what, std::size_t of) : what_(what), of_(of), shows_(::isatty(STDERR_FILENO) == 1) {}
  ~progress() {
    if (shows_) std::fprintf(stderr, "\r\033[K");
  }
  progress(const progress&) = delete;
  void at(std::size_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (!shows_ || now - shown_ < std::chrono::milliseconds(200)) return;
    shown_ = now;
    std::fprintf(stderr, "\r\033[K%s: %zu of %zu", what_, done, of_);
  }

 private:
  const char* what_;
  std::size_t of_;
  bool shows_;
  std::chrono::steady_clock::time_point shown_{};
};

}  // namespace evp::bench
