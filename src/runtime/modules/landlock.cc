// Raw system calls: Debian 12's C library has no wrappers for Landlock.
#include "runtime/modules/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>

#include <cerrno>

namespace evp::runtime {
namespace {

constexpr std::uint64_t reading =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t everything = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // all of ABI 1
constexpr std::uint64_t of_files =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;

void allow(int rules, const std::string& path, std::uint64_t access) {
  const io::unique_fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd) return;  // nothing there: nothing to allow
  landlock_path_beneath_attr rule{};
  rule.allowed_access = access;
  rule.parent_fd = fd.get();
  ::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

}  // namespace

io::unique_fd landlock_rules(const std::string& module_file, const std::string& workspace, const std::string& socket) {
  landlock_ruleset_attr attr{};
  attr.handled_access_fs = everything;
  io::unique_fd rules(int(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0)));
  if (!rules) return rules;
  for (const char* p : {"/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc", "/proc", "/sys"})
    allow(rules.get(), p, reading);
  for (const char* p : {"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"})
    allow(rules.get(), p, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
  allow(rules.get(), "/dev", reading);
  allow(rules.get(), module_file, reading & of_files);
  allow(rules.get(), socket, of_files & ~std::uint64_t(LANDLOCK_ACCESS_FS_EXECUTE));
  allow(rules.get(), workspace, everything);
  return rules;
}

int landlock_restrict(int rules) noexcept { return ::syscall(SYS_landlock_restrict_self, rules, 0) == 0 ? 0 : errno; }

}  // namespace evp::runtime
