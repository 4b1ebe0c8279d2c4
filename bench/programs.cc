// Starts, times and looks at other programs.
#include "programs.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

extern char** environ;

namespace evp::bench {

namespace {
pid_t spawn(const std::vector<std::string>& command, const std::string& log, const environment& env,
            bool as_group = false) {
  std::vector<char*> arguments, variables;
  for (const auto& a : command) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);
  std::vector<std::string> texts;
  for (char** v = environ; *v; ++v)
    if (std::string(*v).rfind("EVP_", 0) != 0) texts.emplace_back(*v);
  for (const auto& [name, value] : env) texts.push_back(name + "=" + value);
  for (auto& t : texts) variables.push_back(t.data());
  variables.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, as_group ? POSIX_SPAWN_SETPGROUP : 0);
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, command[0].c_str(), &files, &attributes, arguments.data(), variables.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed) give_up("can't start " + command[0] + ": build it or install it");
  return pid;
}
}  // namespace

program::program(std::vector<std::string> command, const std::string& log, environment env, bool as_group)
    : pid_(spawn(command, log, env, as_group)), is_group_(as_group) {}

program::~program() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

void program::kill() {
  if (is_group_ && pid_ != 0) ::kill(-pid_, SIGKILL);
  if (!running()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

bool program::running() {
  if (pid_ != 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
  return pid_ != 0;
}

cost cost_of(const std::vector<std::string>& command) {
  const auto began = std::chrono::steady_clock::now();
  const pid_t pid = spawn(command, "/dev/null", {});
  int status = 0;
  rusage used{};
  ::wait4(pid, &status, 0, &used);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) give_up(command[0] + " failed");
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) / 1e6; };
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(),
          seconds(used.ru_utime) + seconds(used.ru_stime)};
}

long kilobytes(pid_t pid, const std::string& file, const std::string& name) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/" + file);
  for (std::string line; std::getline(in, line);)
    if (line.rfind(name, 0) == 0) return std::atol(line.c_str() + name.size());
  return -1;
}

double cpu_seconds(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(in, text);
  const auto name_ends = text.rfind(')');
  long user = 0, system = 0;
  if (name_ends == text.npos ||
      std::sscanf(text.c_str() + name_ends, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) !=
          2)
    return 0;
  return double(user + system) / double(::sysconf(_SC_CLK_TCK));
}

void give_up(const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, why.c_str());
  std::exit(1);
}

}  // namespace evp::bench
