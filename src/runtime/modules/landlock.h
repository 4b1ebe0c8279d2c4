// Confinement without root: the kernel's Landlock, where it has it.
#pragma once

#include "io/files.h"

namespace evp::runtime {

/// A rule set under which a process may read and execute the system's programs and libraries and the module's file,
/// and write its own folder only. Gives no descriptor where the kernel has no Landlock.
/// https://docs.kernel.org/userspace-api/landlock.html
io::unique_fd landlock_rules(const std::string& module_file, const std::string& workspace, const std::string& socket);
/// Confines the calling process; async-signal-safe. Needs no_new_privs. 0, or an errno value.
int landlock_restrict(int rules) noexcept;

}  // namespace evp::runtime
