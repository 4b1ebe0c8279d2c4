// <data>/instances/<name>: owned by root, the instance's group may pass; default_workspace: the instance's own.
#include "runtime/modules/users.h"

#include <sys/stat.h>

#include <cerrno>
#include <set>

namespace evp::runtime {
namespace {

result<void> folder(const io::fs::path& p, uid_t user, gid_t group, mode_t mode) {
  if (::mkdir(p.c_str(), 0700) != 0 && errno != EEXIST) return fail(errno_error(errno, p.string()));
  struct stat st {};
  if (::lstat(p.c_str(), &st) != 0) return fail(errno_error(errno, p.string()));
  if (!S_ISDIR(st.st_mode)) return fail(errc::failed_precondition, p.string() + " is in the way: it is no folder");
  if ((st.st_uid != user || st.st_gid != group) && ::lchown(p.c_str(), user, group) != 0)
    return fail(errno_error(errno, p.string()));
  if (::chmod(p.c_str(), mode) != 0) return fail(errno_error(errno, p.string()));
  return {};
}

bool in_range(const instances_options& o, uid_t u) { return u >= o.first_user && u <= o.last_user; }

result<uid_t> choose_user(const instances_options& o, const std::string& name) {
  if (!o.separate_users) return ::geteuid();
  struct stat st {};
  if (::lstat((o.data / "instances" / name / "default_workspace").c_str(), &st) == 0 && in_range(o, st.st_uid))
    return st.st_uid;
  std::set<uid_t> taken;
  for (const auto& other : placed_instances(o))
    if (::lstat((o.data / "instances" / other / "default_workspace").c_str(), &st) == 0) taken.insert(st.st_uid);
  for (uid_t u = o.first_user; u <= o.last_user; ++u)
    if (u != 0 && !taken.contains(u)) return u;
  return fail(errc::too_large, "no user is left for another instance: enlarge the range of users");
}

}  // namespace

result<void> prepare_data_folder(const instances_options& o) {
  if (!o.data.is_absolute()) return fail(errc::invalid_argument, "data", "the data folder must be an absolute path");
  if (o.separate_users && o.first_user == 0) return fail(errc::invalid_argument, "firstUser", "must not be root's");
  const mode_t mode = o.separate_users ? 0711 : 0700;
  CHECK(io::make_directories(o.data, mode));
  if (o.separate_users && ::chmod(o.data.c_str(), mode) != 0) return fail(errno_error(errno, o.data.string()));
  CHECK(folder(o.data / "modules", ::geteuid(), ::getegid(), mode));
  return folder(o.data / "instances", ::geteuid(), ::getegid(), mode);
}

result<instance_place> place_instance(const instances_options& o, const std::string& name) {
  TRY(const uid_t user, choose_user(o, name));
  const auto base = o.data / "instances" / name;
  const gid_t group = o.separate_users ? gid_t(user) : ::getegid();
  CHECK(folder(base, ::geteuid(), group, 0710));
  CHECK(folder(base / "default_workspace", user, group, 0700));
  return instance_place{base.string(), (base / "default_workspace").string(), (base / "sdk.sock").string(), user};
}

void remove_instance(const instances_options& o, const std::string& name) {
  std::error_code ignored;
  io::fs::remove_all(o.data / "instances" / name, ignored);
}

std::vector<std::string> placed_instances(const instances_options& o) {
  std::vector<std::string> out;
  std::error_code ec;
  for (const auto& e : io::fs::directory_iterator(o.data / "instances", ec))
    out.push_back(e.path().filename().string());
  return out;
}

}  // namespace evp::runtime
