// The programs that are measured or tried: started with a log of their own, ended with the object.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace evp::bench {

using environment = std::map<std::string, std::string>;

/// A child with its output in a file; SIGTERM and a wait at the end.
class program {
 public:
  /// as_group: it leads a process group of its own, and all of that is killed with it.
  program(std::vector<std::string> command, const std::string& log, environment env, bool as_group = false);
  ~program();
  program(const program&) = delete;
  bool running();
  /// SIGKILL, and a wait until it is gone.
  void kill();
  pid_t pid() const noexcept { return pid_; }

 private:
  pid_t pid_ = 0;
  bool is_group_ = false;
};

/// What a command took.
struct cost {
  double seconds = 0, cpu_seconds = 0;
};
/// Runs the command without output. Ends the program where the command fails.
cost cost_of(const std::vector<std::string>& command);

/// A value in kB from /proc/<pid>/<file>, e.g. ("status", "VmRSS:"); -1 where it can't be read.
long kilobytes(pid_t pid, const std::string& file, const std::string& name);

/// User and system time of a running process, all its threads; 0 where it can't be read.
double cpu_seconds(pid_t pid);

/// Says why on stderr, and exits with status 1.
[[noreturn]] void give_up(const std::string& why);

}  // namespace evp::bench
