#include "storage/local_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::storage {
namespace {

constexpr std::size_t file_name_max = 255;          // NAME_MAX of Linux file systems
constexpr std::size_t readable_part = 180;          // of a name that is too long
constexpr std::string_view hash_mark = "%%";        // percent_encode never makes it
constexpr std::string_view uploads_folder = "%up";  // nor this: its digits are upper-case hexadecimal
constexpr const char* sha256_attribute = "user.evp.sha256";
constexpr std::string_view parts_folder = "%parts";
constexpr std::string_view parts_data = "data";
constexpr std::size_t parts_id_characters = 24;
constexpr auto abandoned_after = std::chrono::hours(24);
constexpr auto parts_abandoned_after = std::chrono::hours(24 * 7);

/// Removes what lies in the folder and was not touched for so long.
void tidy(const io::fs::path& folder, std::chrono::hours age) {
  std::error_code ec;
  const auto old = io::fs::file_time_type::clock::now() - age;
  for (auto it = io::fs::directory_iterator(folder, ec); !ec && it != io::fs::directory_iterator(); it.increment(ec)) {
    std::error_code gone;  // another instance may be tidying up too
    if (const auto t = it->last_write_time(gone); !gone && t < old) io::fs::remove_all(it->path(), gone);
  }
}

std::string file_name(std::string_view object) {
  auto name = percent_encode(object);
  if (name.starts_with('.')) name.replace(0, 1, "%2E");  // neither "." nor "..", nor hidden; percent_encode keeps dots
  if (name.size() <= file_name_max) return name;
  name.resize(readable_part);
  return name.append(hash_mark).append(to_hex(sha256(object)));
}

timestamp modified(const struct stat& st) {
  return timestamp(milliseconds(st.st_mtim.tv_sec * 1000LL + st.st_mtim.tv_nsec / 1'000'000));
}

/// The hash stands in an extended attribute; on file systems without them the ETag is made of size, time and inode.
object_info info_of(int fd, const struct stat& st) {
  object_info info;
  info.size = std::uint64_t(st.st_size);
  info.modified_at = modified(st);
  char hash[64];
  if (fgetxattr(fd, sha256_attribute, hash, sizeof hash) == sizeof hash) {
    info.sha256.assign(hash, sizeof hash);
    info.etag = "\"" + info.sha256 + "\"";
  } else {
    info.etag = "\"" + std::to_string(info.size) + "-" +
                std::to_string(st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec) + "-" +
                std::to_string(st.st_ino) + "\"";
  }
  return info;
}

}  // namespace

// ---- an object on its way in ----

struct local_upload::state {
  io::unique_fd fd;
  io::fs::path temporary, final;
  io::fs::path marker;  ///< of a part: says that it is there; final and temporary are empty then
  std::uint64_t offset = 0;
  put_conditions conditions;
  std::string wanted_md5;  ///< raw, or empty
  md5_stream md5;
  sha256_stream sha256;
  std::uint64_t size = 0;
  bool done = false;

  /// Content-MD5 as received; empty: nothing is demanded.
  result<void> want(const std::string& content_md5) {
    if (content_md5.empty()) return {};
    const auto md5 = from_base64(content_md5);
    if (!md5 || md5->size() != 16) return fail(errc::invalid_argument, "Content-MD5", "must be the base64 of 16 bytes");
    wanted_md5 = *md5;
    return {};
  }

  ~state() {
    if (!done && !temporary.empty()) ::unlink(temporary.c_str());
  }
};

local_upload::local_upload(std::unique_ptr<state> s) : state_(std::move(s)) {}
local_upload::~local_upload() = default;
local_upload::local_upload(local_upload&&) noexcept = default;
local_upload& local_upload::operator=(local_upload&&) noexcept = default;

result<void> local_upload::write(std::string_view bytes) {
  auto& s = *state_;
  const auto limit = std::min(s.conditions.max_bytes, s.conditions.content_length.value_or(UINT64_MAX));
  if (bytes.size() > limit - s.size) return fail(errc::too_large, "the object is larger than allowed");
  auto at = s.offset + s.size;
  s.size += bytes.size();
  s.sha256.update(bytes);
  if (!s.wanted_md5.empty()) s.md5.update(bytes);
  while (!bytes.empty()) {
    const auto n = ::pwrite(s.fd.get(), bytes.data(), bytes.size(), off_t(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, "write an object"));
    bytes.remove_prefix(std::size_t(n));
    at += std::uint64_t(n);
  }
  return {};
}

result<object_info> local_upload::commit() {
  auto& s = *state_;
  if (s.conditions.content_length && *s.conditions.content_length != s.size)
    return fail(errc::data_corrupt, "fewer bytes came than Content-Length said");
  if (!s.wanted_md5.empty() && s.md5.finish() != s.wanted_md5)
    return fail(errc::data_corrupt, "the bytes do not match Content-MD5: send them again");
  const auto hash = to_hex(s.sha256.finish());
  if (!s.marker.empty()) {
    if (::fsync(s.fd.get()) != 0) return fail(errno_error(errno, "write a part"));
    CHECK(io::write_file_durably(s.marker, std::to_string(s.size)));
    return object_info{s.size, "\"" + hash + "\"", hash};
  }
  if (!s.conditions.sha256.empty() && hash != s.conditions.sha256)
    return fail(errc::data_corrupt, "the bytes are not those that were granted: their SHA-256 differs");
  ::fsetxattr(s.fd.get(), sha256_attribute, hash.data(), hash.size(), 0);  // where it fails, info_of does without
  if (::fsync(s.fd.get()) != 0) return fail(errno_error(errno, "write an object"));

  struct stat st {};
  if (::fstat(s.fd.get(), &st) != 0) return fail(errno_error(errno, "describe an object"));
  // link refuses an existing name, rename replaces it; both at once for all who look.
  if (s.conditions.create_only) {
    if (::link(s.temporary.c_str(), s.final.c_str()) != 0) {
      if (errno == EEXIST) return fail(errc::already_exists, "an object of this name exists");
      return fail(errno_error(errno, "name an object"));
    }
    ::unlink(s.temporary.c_str());
  } else if (::rename(s.temporary.c_str(), s.final.c_str()) != 0) {
    return fail(errno_error(errno, "name an object"));
  }
  s.done = true;
  CHECK(io::sync_directory(s.final.parent_path()));
  return info_of(s.fd.get(), st);
}

// ---- a container ----

local_store::local_store(io::fs::path root, std::string_view container)
    : folder_(std::move(root) / percent_encode(container)) {}

io::fs::path local_store::file_of(std::string_view object) const { return folder_ / file_name(object); }

result<void> local_store::prepare() {
  const auto uploads = folder_ / uploads_folder;
  CHECK(io::make_directories(uploads));
  tidy(uploads, abandoned_after);
  tidy(folder_ / parts_folder, parts_abandoned_after);
  return {};
}

result<local_upload> local_store::begin(std::string_view object, put_conditions conditions) {
  if (object.empty()) return fail(errc::invalid_argument, "the object has no name");
  auto s = std::make_unique<local_upload::state>();
  CHECK(s->want(conditions.content_md5));
  if (conditions.content_length.value_or(0) > conditions.max_bytes)
    return fail(errc::too_large, "the object is larger than allowed");
  s->final = file_of(object);
  if (conditions.create_only && ::access(s->final.c_str(), F_OK) == 0)
    return fail(errc::already_exists, "an object of this name exists");
  s->conditions = std::move(conditions);

  auto temporary = folder_ / uploads_folder / random_id();
  s->fd = io::unique_fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!s->fd) return fail(errno_error(errno, "create an object's file"));
  s->temporary = std::move(temporary);
  return local_upload(std::move(s));
}

result<std::string> local_store::begin_parts() {
  const auto id = random_id(parts_id_characters);
  const auto folder = folder_ / parts_folder / id;
  CHECK(io::make_directories(folder));
  CHECK(io::write_file_durably(folder / parts_data, ""));
  return id;
}

result<local_upload> local_store::begin_part(std::string_view parts_id, part_place part, put_conditions conditions) {
  if (conditions.content_length != part.length)
    return fail(errc::invalid_argument, "Content-Length", "must be the part's length");
  const auto folder = folder_ / parts_folder / parts_id;
  auto s = std::make_unique<local_upload::state>();
  CHECK(s->want(conditions.content_md5));
  s->fd = io::unique_fd(::open((folder / parts_data).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!s->fd && errno == ENOENT) return fail(errc::not_found, "no such upload in parts");
  if (!s->fd) return fail(errno_error(errno, "open the file of an upload in parts"));
  s->marker = folder / std::to_string(part.number);
  s->offset = part.offset;
  s->conditions = std::move(conditions);
  return local_upload(std::move(s));
}

result<std::vector<stored_part>> local_store::list_parts(std::string_view parts_id) const {
  std::error_code ec;
  io::fs::directory_iterator it(folder_ / parts_folder / parts_id, ec);
  if (ec == std::errc::no_such_file_or_directory) return fail(errc::not_found, "no such upload in parts");
  std::vector<stored_part> out;
  for (; !ec && it != io::fs::directory_iterator(); it.increment(ec)) {
    const auto name = it->path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    TRY(const auto size, io::read_file(it->path(), 32));
    out.push_back({unsigned(std::stoul(name)), std::stoull(size), ""});
  }
  if (ec) return fail(errno_error(ec.value(), "list the parts of an upload"));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return out;
}

result<void> local_store::commit_parts(std::string_view object, std::string_view parts_id) {
  const auto data = folder_ / parts_folder / parts_id / parts_data;
  if (::rename(data.c_str(), file_of(object).c_str()) != 0) {
    if (errno == ENOENT) return fail(errc::not_found, "no such upload in parts");
    return fail(errno_error(errno, "name an object"));
  }
  CHECK(io::sync_directory(folder_));
  return abort_parts(parts_id);
}

result<void> local_store::abort_parts(std::string_view parts_id) {
  std::error_code ec;
  io::fs::remove_all(folder_ / parts_folder / parts_id, ec);
  if (ec) return fail(errno_error(ec.value(), "remove the parts of an upload"));
  return {};
}

result<opened_object> local_store::open(std::string_view object) const {
  auto fd = std::make_shared<io::unique_fd>(::open(file_of(object).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!*fd && errno == ENOENT) return fail(errc::not_found, "no such object");
  if (!*fd) return fail(errno_error(errno, "open an object"));
  struct stat st {};
  if (::fstat(fd->get(), &st) != 0) return fail(errno_error(errno, "describe an object"));
  if (!S_ISREG(st.st_mode)) return fail(errc::not_found, "no such object");
  opened_object o{.info = info_of(fd->get(), st), .last_modified = modified(st)};
  o.fd = std::move(fd);
  return o;
}

result<object_info> local_store::stat(std::string_view object) const {
  TRY(const auto o, open(object));
  return o.info;
}

result<std::string> local_store::read(std::string_view object, std::uint64_t max_bytes) const {
  TRY(const auto o, open(object));
  if (o.info.size > max_bytes) return fail(errc::too_large, "the object is larger than asked for");
  std::string bytes(o.info.size, '\0');
  for (std::size_t at = 0; at < bytes.size();) {
    const auto n = ::read(o.fd->get(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, "read an object"));
    if (n == 0) return fail(errc::data_corrupt, "the object's file was shortened while it was read");
    at += std::size_t(n);
  }
  return bytes;
}

result<void> local_store::remove(std::string_view object) {
  if (::unlink(file_of(object).c_str()) == 0) return io::sync_directory(folder_);
  if (errno == ENOENT) return {};
  return fail(errno_error(errno, "remove an object"));
}

}  // namespace evp::storage
