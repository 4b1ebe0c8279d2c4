#include "auth/credentials/token_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

namespace evp::auth {
namespace {

// https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
// https://azure.github.io/azure-workload-identity/docs/
constexpr std::string_view platforms[] = {
    "/var/run/secrets/eks.amazonaws.com/serviceaccount",
    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount",
    "/var/run/secrets/azure/tokens",
};
constexpr std::size_t token_max = 16 * 1024;

bool is_beneath(const io::fs::path& file, const io::fs::path& folder) {
  const auto [f, p] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return f == folder.end() && p != file.end();
}

/// Header, claims and signature in base64url (RFC 7515, 7.1).
bool is_web_token(std::string_view text) {
  int dots = 0;
  char before = '.';
  for (const char c : text) {
    if (c == '.' && before == '.') return false;
    dots += c == '.';
    const bool ok =
        (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!ok) return false;
    before = c;
  }
  return dots == 2 && before != '.' && text.starts_with("eyJ");  // every header begins with {"
}

}  // namespace

token_folders::token_folders(std::vector<io::fs::path> operators) : folders_(std::move(operators)) {
  for (auto& f : folders_)
    f = f.lexically_normal().string().ends_with('/') ? f.lexically_normal().parent_path() : f.lexically_normal();
  for (const auto p : platforms) folders_.emplace_back(p);
}

result<void> token_folders::check(const io::fs::path& file) const {
  const bool plain = file.is_absolute() && file == file.lexically_normal() && file.has_filename();
  for (const auto& folder : folders_)
    if (plain && is_beneath(file, folder)) return {};
  std::string all;
  for (const auto& folder : folders_) all.append(all.empty() ? "" : ", ").append(folder.string());
  return fail(errc::invalid_argument,
              fmt::format("must be the absolute path of a file in one of {}; the operator can add a folder with "
                          "tokenFileFolders",
                          all));
}

result<secret> token_folders::read(const io::fs::path& file) const {
  CHECK(check(file));
  const auto folder =
      std::find_if(folders_.begin(), folders_.end(), [&](const auto& f) { return is_beneath(file, f); });
  const io::unique_fd dir(::open(folder->c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail(errno_error(errno, "the token file's folder " + folder->string()));
  const auto name = file.lexically_relative(*folder).string();
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // a FIFO must not hold us
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const io::unique_fd fd(int(::syscall(SYS_openat2, dir.get(), name.c_str(), &how, sizeof how)));
  if (!fd && errno == EXDEV)
    return fail(errc::permission_denied, "the token file is a link that leads out of its folder: " + file.string());
  if (!fd) return fail(errno_error(errno, "the token file " + file.string()));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(errc::invalid_argument, "the token file is no regular file: " + file.string());
  std::string text(token_max + 1, '\0');
  const auto n = ::read(fd.get(), text.data(), text.size());
  if (n < 0) return fail(errno_error(errno, "the token file " + file.string()));
  text.resize(std::size_t(n));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  secret token(std::move(text));
  if (token.size() > token_max || !is_web_token(token.reveal()))
    return fail(errc::data_corrupt, "the token file does not hold a JSON web token: " + file.string());
  return token;
}

}  // namespace evp::auth
