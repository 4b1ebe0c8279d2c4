// Opens an instance's workspace anew for each file: it may have been removed, or made again, since.
#include "runtime/workspace_files.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/names.h"
#include "runtime/sdk_server/workspace.h"

namespace evp::runtime {

namespace {
/// Nothing: the instance has no workspace (any more), or the name is none.
std::optional<socket::workspace> workspace_of(const io::fs::path& data, const std::string& instance,
                                              bool separate_users) {
  if (!check_name(instance, "instance")) return std::nullopt;
  const auto path = data / "instances" / instance / "default_workspace";
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return std::nullopt;
  auto opened = socket::workspace::open(path.string(), separate_users ? std::optional(st.st_uid) : std::nullopt);
  if (!opened) return std::nullopt;
  return std::move(*opened);
}
}  // namespace

upload::errno_result<upload::opened_source> workspace_files::open_source(const std::string& instance,
                                                                         const std::string& path) {
  const auto w = workspace_of(data_, instance, separate_users_);
  if (!w) return tl::unexpected(ENOENT);
  auto source = w->open_source(w->path() + "/" + path);
  if (!source) return tl::unexpected(source.error().error);
  return upload::opened_source{std::move(source->fd), source->size, source->mtime_ns, source->inode};
}

upload::errno_result<upload::opened_target> workspace_files::open_target(const std::string& instance,
                                                                         const std::string& path) {
  const auto w = workspace_of(data_, instance, separate_users_);
  if (!w) return tl::unexpected(ENOENT);
  auto target = w->open_target(w->path() + "/" + path);
  if (!target) return tl::unexpected(target.error().error);
  return upload::opened_target{std::move(target->folder), std::move(target->name)};
}

}  // namespace evp::runtime
