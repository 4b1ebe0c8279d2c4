// A running module process on the executor: its end is told once, its output goes to the log, bounded.
#pragma once

#include <functional>
#include <memory>

#include "io/task.h"
#include "runtime/modules/launch.h"

namespace evp::runtime {

/// How a process ended: "exit status 3" or "signal 9".
using exit_handler = std::function<void(std::string how, bool clean)>;

/// Confined to the executor. The destructor kills the process, and waits for it.
class process {
 public:
  static std::unique_ptr<process> watch(io::executor ex, std::string name, uid_t user, launched l, exit_handler ended);
  ~process();
  pid_t pid() const noexcept;
  /// To the process and its group.
  void signal(int number);

 private:
  struct state;
  explicit process(std::shared_ptr<state> s) : state_(std::move(s)) {}
  std::shared_ptr<state> state_;
};

}  // namespace evp::runtime
