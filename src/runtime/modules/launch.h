// Starts a module's process with nothing but what it needs.
#pragma once

#include <sys/types.h>

#include "runtime/modules/options.h"
#include "runtime/modules/users.h"

namespace evp::runtime {

struct launched {
  pid_t pid = 0;
  io::unique_fd pidfd;   ///< readable when the process has ended
  io::unique_fd output;  ///< its stdout and stderr
};

/// Runs the file as the instance's user: argv is the path alone, the environment the two EVP_MODULE_SDK_* variables,
/// stdin /dev/null, a session of its own, no descriptor, capability or supplementary group of ours, no_new_privs,
/// limits, and death when the runtime's calling thread dies. Blocks until the program runs.
/// Errors: by errno, saying which step failed.
result<launched> launch(const instances_options& o, const std::string& file, const instance_place& place);

/// Ends what the process left behind: every child that has been handed to us (we are their sub-reaper) and belongs to
/// the user. Does nothing for the runtime's own user.
void end_orphans(uid_t user);

}  // namespace evp::runtime
