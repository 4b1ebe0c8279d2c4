// Blobs in a module's memory, spooled. Files are 0600 in a folder of mode 0700.
#include "sdk/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace evp::sdk {
namespace {

constexpr std::size_t chunk_bytes = 65536;
constexpr const char* folder = "/.evp-spool";

}  // namespace

spooled_blob::~spooled_blob() { ::unlink(path_.c_str()); }

EVP_RESULT spooled_blob::fill(EVP_BLOB_IO_CALLBACK io, std::size_t size, void* user) {
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return EVP_ERROR;
  std::vector<char> chunk(std::min(size, chunk_bytes));
  EVP_RESULT r = EVP_OK;
  for (std::size_t left = size; left > 0 && r == EVP_OK;) {
    const std::size_t now = std::min(left, chunk.size());
    if (io(chunk.data(), now, user) != EVP_BLOB_IO_RESULT_SUCCESS) r = EVP_FAULT;
    for (std::size_t done = 0; r == EVP_OK && done < now;) {
      const auto n = ::write(fd, chunk.data() + done, now - done);
      if (n >= 0)
        done += std::size_t(n);
      else if (errno != EINTR)
        r = errno == ENOSPC || errno == EDQUOT ? EVP_NOMEM : EVP_ERROR;
    }
    left -= now;
  }
  // Data that the kernel could not place may come to light only now.
  if (::close(fd) != 0 && r == EVP_OK) r = EVP_ERROR;
  return r;
}

int spooled_blob::drain(EVP_BLOB_IO_CALLBACK io, void* user) {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno;
  std::vector<char> chunk(chunk_bytes);
  int e = 0;
  for (;;) {
    const auto n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) e = errno;
    if (n <= 0) break;
    if (io(chunk.data(), std::size_t(n), user) != EVP_BLOB_IO_RESULT_SUCCESS) {
      e = EIO;
      break;
    }
  }
  ::close(fd);
  return e;
}

std::unique_ptr<spooled_blob> new_spooled_blob(const std::string& workspace) {
  const std::string dir = workspace + folder;
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return nullptr;
  static unsigned long counter = 0;
  return std::make_unique<spooled_blob>(dir + "/" + std::to_string(::getpid()) + "-" + std::to_string(++counter));
}

void clean_spool(const std::string& workspace) {
  const std::string dir = workspace + folder;
  DIR* d = ::opendir(dir.c_str());
  if (!d) return;
  while (const dirent* e = ::readdir(d))
    if (e->d_name[0] != '.') ::unlinkat(::dirfd(d), e->d_name, 0);
  ::closedir(d);
}

}  // namespace evp::sdk
