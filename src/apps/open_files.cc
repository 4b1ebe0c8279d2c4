// The limit of open files.
#include "apps/open_files.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>

namespace evp::apps {
namespace {

// Files that are no connections of HTTP clients: the database's, the broker's, those to storages, streamed objects.
constexpr std::size_t other_files = 1000;

}  // namespace

std::size_t raise_open_files(std::size_t wanted) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted;
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, std::max<rlim_t>(files.rlim_cur, wanted + other_files));
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur >= wanted + other_files) return wanted;
  const auto possible = std::max<std::size_t>(files.rlim_cur / 2, 16);
  if (possible >= wanted) return wanted;
  spdlog::warn("{} HTTP connections at once instead of {}: the process may have {} files open (LimitNOFILE, ulimit -n)",
               possible, wanted, files.rlim_cur);
  return possible;
}

}  // namespace evp::apps
