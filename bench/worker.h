// A program whose work is done by a child, so that whatever becomes of it, something is left to clean up.
#pragma once

#include <functional>

namespace evp::bench {

/// Runs the work in a child that dies with this process, and waits for it; SIGINT, SIGTERM and SIGHUP kill the child
/// only. What the work leaves behind comes to this process, for the caller to end. The work's exit status, or 130 where
/// it was killed. Once, before any thread.
int run_in_worker(const std::function<int()>& work);

}  // namespace evp::bench
