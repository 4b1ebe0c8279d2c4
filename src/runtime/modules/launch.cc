// Between fork and exec only async-signal-safe calls happen, and raw ones where libc would talk to other threads.
#include "runtime/modules/launch.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/modules/landlock.h"

namespace evp::runtime {
namespace {

/// Everything that the child uses, made before the fork.
struct orders {
  const char* file;
  char* const* argv;
  char* const* environment;
  const char* workspace;
  int null, output, report, rules;
  uid_t user;
  bool change_user;
  rlim_t memory, files, processes;
  pid_t parent;
};

struct failure {
  int error;
  char step[28];
};

[[noreturn]] void give_up(const orders& o, const char* step, int e = errno) {
  failure f{e, {}};
  for (std::size_t i = 0; step[i] && i + 1 < sizeof f.step; ++i) f.step[i] = step[i];
  [[maybe_unused]] const auto n = ::write(o.report, &f, sizeof f);
  ::_exit(127);
}

void limit(const orders& o, int what, rlim_t to) {
  const rlimit r{to, to};
  if (::syscall(SYS_prlimit64, 0, what, &r, nullptr) != 0) give_up(o, "setting limits");
}

void drop_privileges(const orders& o) {
  for (int cap = 0; cap <= 63; ++cap) ::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) give_up(o, "dropping groups");
  if (::syscall(SYS_setresgid, o.user, o.user, o.user) != 0) give_up(o, "changing the group");
  if (::syscall(SYS_setresuid, o.user, o.user, o.user) != 0) give_up(o, "changing the user");
  __user_cap_header_struct h{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &h, none) != 0) give_up(o, "dropping capabilities");
}

[[noreturn]] void become_module(const orders& o) {
  if (::setsid() < 0) give_up(o, "making a session");
  if (::dup2(o.null, 0) < 0 || ::dup2(o.output, 1) < 0 || ::dup2(o.output, 2) < 0) give_up(o, "setting stdio");
  if (::syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) != 0) give_up(o, "closing descriptors");
  for (int s = 1; s < NSIG; ++s) ::signal(s, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(077);
  limit(o, RLIMIT_CORE, 0);
  limit(o, RLIMIT_NOFILE, o.files);
  if (o.change_user) limit(o, RLIMIT_NPROC, o.processes);
  if (o.memory) limit(o, RLIMIT_AS, o.memory);
  if (o.change_user) drop_privileges(o);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(o, "setting no_new_privs");
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) give_up(o, "binding its life to ours");
  if (::getppid() != o.parent) ::_exit(127);  // the runtime died before the line above
  if (::chdir(o.workspace) != 0) give_up(o, "entering the workspace");
  if (o.rules >= 0)
    if (const int e = landlock_restrict(o.rules); e != 0) give_up(o, "confining it", e);
  ::execve(o.file, o.argv, o.environment);
  give_up(o, "executing the module");
}

struct pipe_ends {
  io::unique_fd read, write;
};
result<pipe_ends> make_pipe(int flags) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | flags) != 0) return fail(errno_error(errno, "pipe"));
  return pipe_ends{io::unique_fd(fds[0]), io::unique_fd(fds[1])};
}

}  // namespace

result<launched> launch(const instances_options& o, const std::string& file, const instance_place& place) {
  // Children of modules are handed to us when their parents die, so none can hide by forking twice.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  io::unique_fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail(errno_error(errno, "/dev/null"));
  TRY(auto output, make_pipe(0));
  TRY(auto report, make_pipe(0));
  ::fcntl(output.read.get(), F_SETFL, O_NONBLOCK);

  std::string path = file, socket = "EVP_MODULE_SDK_SOCKET_PATH=" + place.socket,
              workspace = "EVP_MODULE_SDK_DEFAULT_WORKSPACE_PATH=" + place.workspace;
  char* argv[] = {path.data(), nullptr};
  char* environment[] = {socket.data(), workspace.data(), nullptr};
  io::unique_fd rules;
  if (!o.separate_users) rules = landlock_rules(file, place.workspace, place.socket);
  const orders all{
      path.c_str(),       argv,        environment, place.workspace.c_str(), null.get(),     output.write.get(),
      report.write.get(), rules.get(), place.user,  o.separate_users,        o.memory_bytes, o.open_files,
      o.processes,        ::getpid()};

  sigset_t every, before;
  ::sigfillset(&every);
  ::pthread_sigmask(SIG_SETMASK, &every, &before);  // no handler of ours may run in the child
  const pid_t pid = ::fork();
  if (pid == 0) become_module(all);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fail(errno_error(fork_error, "fork"));

  launched out;
  out.pid = pid;
  out.pidfd = io::unique_fd(int(::syscall(SYS_pidfd_open, pid, 0)));
  out.output = std::move(output.read);
  report.write.reset();
  failure f{};
  ssize_t n;
  while ((n = ::read(report.read.get(), &f, sizeof f)) < 0 && errno == EINTR) {}
  if (n == sizeof f || !out.pidfd) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    f.step[sizeof f.step - 1] = 0;
    return fail(n == sizeof f ? errno_error(f.error, f.step)
                              : error(errc::unsupported, "this kernel has no pidfd_open"));
  }
  return out;
}

void end_orphans(uid_t user) {
  if (user == ::geteuid() || user == 0) return;
  // A killed child may leave children of its own, which come to us in turn.
  for (int round = 0; round < 100; ++round) {
    bool found = false;
    DIR* proc = ::opendir("/proc");
    if (!proc) return;
    while (const dirent* e = ::readdir(proc)) {
      const pid_t pid = pid_t(std::strtol(e->d_name, nullptr, 10));
      struct stat st {};
      if (pid <= 1 || ::fstatat(::dirfd(proc), e->d_name, &st, 0) != 0) continue;
      const auto stat = io::read_file(io::fs::path("/proc") / e->d_name / "stat", 4096);
      const auto name_end = stat ? stat->rfind(')') : std::string::npos;
      if (name_end == std::string::npos || name_end + 4 > stat->size()) continue;
      if (pid_t(std::strtol(stat->c_str() + name_end + 3, nullptr, 10)) != ::getpid()) continue;  // "S ppid"
      const auto status = io::read_file(io::fs::path("/proc") / e->d_name / "status", 8192);
      const auto uid_at = status ? status->find("\nUid:\t") : std::string::npos;
      if (uid_at == std::string::npos || uid_t(std::strtoul(status->c_str() + uid_at + 6, nullptr, 10)) != user)
        continue;
      found = true;
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    ::closedir(proc);
    if (!found) return;
  }
}

}  // namespace evp::runtime
