// A file that is being downloaded, beneath a folder that is already open.
#include "runtime/upload/download_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/crypto.h"

namespace evp::runtime::upload {

namespace {
tl::unexpected<error> failed(int& number, const char* what) {
  number = errno;
  return fail(errno_error(number, what));
}
}  // namespace

result<download_file> download_file::create(std::shared_ptr<io::unique_fd> folder, std::string target_name,
                                            int& number) {
  download_file d;
  struct stat owner {};
  if (::fstat(folder->get(), &owner) != 0) return failed(number, "look at the target's folder");
  std::string name = ".evp-" + random_id() + ".part";
  d.file_ =
      io::unique_fd(::openat(folder->get(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!d.file_) return failed(number, "create a temporary file beside the target");
  d.folder_ = std::move(folder);
  d.target_ = std::move(target_name);
  d.temporary_ = std::move(name);
  // As root we write for an instance with a uid of its own.
  if (::geteuid() == 0 && ::fchown(d.file_.get(), owner.st_uid, owner.st_gid) != 0)
    return failed(number, "give the file to its instance");
  return d;
}

download_file::~download_file() {
  if (folder_ && !temporary_.empty()) ::unlinkat(folder_->get(), temporary_.c_str(), 0);
}

result<void> download_file::commit(int& number) {
  if (::fsync(file_.get()) != 0) return failed(number, "write the downloaded file to disk");
  if (::renameat(folder_->get(), temporary_.c_str(), folder_->get(), target_.c_str()) != 0)
    return failed(number, "rename the downloaded file to its name");
  temporary_.clear();
  if (::fsync(folder_->get()) != 0) return failed(number, "write the target's folder to disk");
  return {};
}

}  // namespace evp::runtime::upload
