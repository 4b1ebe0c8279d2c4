// A file that is being downloaded, beneath a folder that is already open.
#include "runtime/upload/download_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace evp::runtime::upload {

namespace {

constexpr const char* attribute = "user.evp.from";  // "<boot id> <ETag>"
constexpr std::size_t etag_max = 256;

tl::unexpected<error> failed(int& number, const char* what) {
  number = errno;
  return fail(errno_error(number, what));
}

std::string name_of(std::uint64_t operation) { return ".evp-" + std::to_string(operation) + ".part"; }

/// Of the running kernel; empty where it cannot be told.
std::string boot_id() {
  auto text = io::read_file("/proc/sys/kernel/random/boot_id", 64).value_or("");
  text.erase(std::min(text.find('\n'), text.size()));
  return text;
}

/// RFC 9110, 8.8.3; a weak one ("W/...") may belong to other bytes.
bool is_strong(std::string_view etag) {
  return etag.size() >= 3 && etag.size() <= etag_max && etag.front() == '"' && etag.back() == '"' &&
         std::all_of(etag.begin(), etag.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

/// The ETag that the file's bytes came with, if they are all there.
std::string validator_of(int fd) {
  char text[etag_max + 64];
  const auto size = ::fgetxattr(fd, attribute, text, sizeof text);
  if (size <= 0) return {};
  const std::string_view kept(text, std::size_t(size));
  const auto space = kept.find(' ');
  const auto boot = boot_id();
  if (space == kept.npos || boot.empty() || kept.substr(0, space) != boot) return {};
  const auto etag = kept.substr(space + 1);
  return is_strong(etag) ? std::string(etag) : std::string();
}

struct content_range {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> total;
};

/// "bytes 4-9/10" (RFC 9110, 14.4); the total may be "*".
std::optional<content_range> read_content_range(std::string_view text) {
  constexpr std::string_view unit = "bytes ";
  if (!text.starts_with(unit)) return std::nullopt;
  const char* at = text.data() + unit.size();
  const char* const end = text.data() + text.size();
  content_range out;
  std::uint64_t last = 0, total = 0;
  auto read = std::from_chars(at, end, out.first);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '-') return std::nullopt;
  read = std::from_chars(read.ptr + 1, end, last);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '/' || last < out.first) return std::nullopt;
  if (std::string_view(read.ptr + 1, std::size_t(end - read.ptr - 1)) == "*") return out;
  read = std::from_chars(read.ptr + 1, end, total);
  if (read.ec != std::errc() || read.ptr != end || total <= last) return std::nullopt;
  out.total = total;
  return out;
}

}  // namespace

result<download_file> download_file::open(std::shared_ptr<io::unique_fd> folder, std::string target_name,
                                          std::uint64_t operation, int& number) {
  download_file d;
  struct stat owner {};
  if (::fstat(folder->get(), &owner) != 0) return failed(number, "look at the target's folder");
  d.temporary_ = name_of(operation);
  d.file_ =
      io::unique_fd(::openat(folder->get(), d.temporary_.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat found {};
  const bool is_ours = d.file_ && ::fstat(d.file_.get(), &found) == 0 && S_ISREG(found.st_mode) &&
                       found.st_nlink == 1 && found.st_uid == owner.st_uid;
  if (is_ours) d.etag_ = validator_of(d.file_.get());
  if (!d.etag_.empty()) d.present_ = std::uint64_t(found.st_size);
  d.folder_ = std::move(folder);
  d.target_ = std::move(target_name);
  if (is_ours) return d;

  // Nothing is there, or something that the module has put into the place.
  ::unlinkat(d.folder_->get(), d.temporary_.c_str(), 0);
  d.file_ = io::unique_fd(
      ::openat(d.folder_->get(), d.temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!d.file_) return failed(number, "create a temporary file beside the target");
  // As root we write for an instance with a uid of its own.
  if (::geteuid() == 0 && ::fchown(d.file_.get(), owner.st_uid, owner.st_gid) != 0)
    return failed(number, "give the file to its instance");
  return d;
}

void download_file::remove(const io::unique_fd& folder, std::uint64_t operation) noexcept {
  ::unlinkat(folder.get(), name_of(operation).c_str(), 0);
}

void download_file::ask(http::request& r) {
  r.response_fd = file_.get();
  r.on_head = [this](const http::response& head) { return begin(head); };
  if (present_ == 0) return;
  r.fields.push_back({"Range", "bytes=" + std::to_string(present_) + "-"});
  r.fields.push_back({"If-Range", etag_});
}

result<void> download_file::begin(const http::response& head) {
  if (head.status != 206) {
    begin_anew();
    const auto etag = http::find(head.fields, "ETag");
    if (is_strong(etag)) keep_validator(etag);
    return {};
  }
  const auto range = read_content_range(http::find(head.fields, "Content-Range"));
  const auto etag = http::find(head.fields, "ETag");
  if (present_ == 0 || !range || range->first != present_ || (!etag.empty() && etag != etag_)) {
    begin_anew();
    return fail(errc::unavailable, "the storage sent a range of the object that was not asked for");
  }
  announced_ = range->total;
  if (::lseek(file_.get(), off_t(present_), SEEK_SET) < 0) return fail(errno_error(errno, "go on with a file"));
  return {};
}

void download_file::keep_validator(std::string_view etag) noexcept {
  const auto boot = boot_id();
  const auto text = boot + " " + std::string(etag);
  if (!boot.empty()) (void)::fsetxattr(file_.get(), attribute, text.data(), text.size(), 0);
}

void download_file::begin_anew() noexcept {
  present_ = 0;
  etag_.clear();
  announced_.reset();
  // Without the attribute, whatever is left here counts as nothing.
  (void)::fremovexattr(file_.get(), attribute);
  (void)::ftruncate(file_.get(), 0);
  (void)::lseek(file_.get(), 0, SEEK_SET);
}

result<void> download_file::commit(int& number) {
  struct stat now {};
  if (::fstat(file_.get(), &now) != 0) return failed(number, "look at the downloaded file");
  if (announced_ && std::uint64_t(now.st_size) != *announced_) {
    begin_anew();
    return fail(errc::unavailable, "the object's parts don't make up its length: it is fetched anew");
  }
  (void)::fremovexattr(file_.get(), attribute);
  if (::fsync(file_.get()) != 0) return failed(number, "write the downloaded file to disk");
  if (::renameat(folder_->get(), temporary_.c_str(), folder_->get(), target_.c_str()) != 0)
    return failed(number, "rename the downloaded file to its name");
  if (::fsync(folder_->get()) != 0) return failed(number, "write the target's folder to disk");
  return {};
}

}  // namespace evp::runtime::upload
