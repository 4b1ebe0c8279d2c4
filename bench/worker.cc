#include "worker.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "programs.h"

namespace evp::bench {
namespace {

pid_t worker = 0;
constexpr int ending[] = {SIGINT, SIGTERM, SIGHUP};

}  // namespace

int run_in_worker(const std::function<int()>& work) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t ends, before;  // wait until there is a worker to be ended
  ::sigemptyset(&ends);
  for (const int s : ending) ::sigaddset(&ends, s);
  ::sigprocmask(SIG_BLOCK, &ends, &before);
  worker = ::fork();
  if (worker < 0) give_up("can't fork");
  if (worker == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    std::exit(work());
  }
  for (const int s : ending) ::signal(s, [](int) { ::kill(worker, SIGKILL); });
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  int status = 0;
  for (pid_t ended = 0; ended != worker;) ended = ::waitpid(-1, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 130;
}

}  // namespace evp::bench
