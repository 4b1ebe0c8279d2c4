// Temporary file, check, rename: a reader sees the old file or the new one.
#include "runtime/modules/download.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::runtime {
namespace {

constexpr std::string_view file_scheme = "file://";

result<void> copy_file(const std::string& from, int to, std::uint64_t max_bytes) {
  const io::unique_fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!in) return fail(errno_error(errno, "the module's file"));
  std::uint64_t total = 0;
  char buffer[65536];
  for (;;) {
    const auto n = ::read(in.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, "the module's file"));
    if (n == 0) return {};
    if ((total += std::uint64_t(n)) > max_bytes) return fail(errc::too_large, "the module is too large");
    for (ssize_t done = 0; done < n;) {
      const auto w = ::write(to, buffer + done, std::size_t(n - done));
      if (w < 0 && errno != EINTR) return fail(errno_error(errno, "writing the module"));
      if (w > 0) done += w;
    }
  }
}

/// Checks what was fetched and puts it in its place.
result<void> install(int fd, const io::fs::path& temporary, const io::fs::path& target, const std::string& hash) {
  if (const auto got = hash_of_file(temporary); got != hash)
    return fail(errc::data_corrupt,
                "Module hash mismatch: the file has SHA-256 " + got + ", the deployment says " + hash);
  if (::fchmod(fd, 0755) != 0 || ::fsync(fd) != 0 || ::rename(temporary.c_str(), target.c_str()) != 0)
    return fail(errno_error(errno, target.string()));
  return io::sync_directory(target.parent_path());
}

io::task<result<void>> get(const instances_options& o, http::transport& http, secret url, int fd) {
  http::request r;
  r.url = std::move(url);
  r.response_fd = fd;
  r.max_response_bytes = o.max_module_bytes;
  r.ca_pem = o.ca_pem;
  r.via = o.via;
  CO_TRY(const auto response, co_await http.send(std::move(r)));
  if (response.status / 100 != 2)
    co_return fail(errc::unavailable, "Download failed HTTP Response = " + std::to_string(response.status));
  co_return result<void>();
}

io::task<result<void>> fetch_to(const instances_options& o, http::transport& http, io::pool& disk, int fd,
                                io::fs::path temporary, io::fs::path target, wire::module_spec spec) {
  const std::string& url = spec.download_url.reveal();
  if (url.starts_with(file_scheme)) {
    if (!o.allow_file_urls)
      co_return fail(errc::unsupported, "downloadUrl", "file:// URLs are not allowed on this device");
    auto copy = [from = url.substr(file_scheme.size()), fd, max = o.max_module_bytes] {
      return copy_file(from, fd, max);
    };
    CO_CHECK(co_await io::run_on(disk, std::move(copy)));
  } else {
    CO_CHECK(co_await get(o, http, spec.download_url, fd));
  }
  auto check = [fd, temporary, target, hash = spec.hash] { return install(fd, temporary, target, hash); };
  auto outcome = co_await io::run_on(disk, std::move(check));
  co_return outcome;
}

}  // namespace

io::fs::path module_file(const instances_options& o, const std::string& id) { return o.data / "modules" / id; }

std::string hash_of_file(const io::fs::path& path) {
  const io::unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return {};
  sha256_stream hash;
  char buffer[65536];
  for (;;) {
    const auto n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return {};
    if (n == 0) return to_hex(hash.finish());
    hash.update({buffer, std::size_t(n)});
  }
}

io::task<result<void>> fetch_module(const instances_options& o, http::transport& http, io::pool& disk, std::string id,
                                    wire::module_spec spec) {
  const auto target = module_file(o, id);
  const auto temporary = target.parent_path() / ("." + id + "." + random_id(8));
  const io::unique_fd fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) co_return fail(errno_error(errno, temporary.string()));
  auto r = co_await fetch_to(o, http, disk, fd.get(), temporary, target, std::move(spec));
  if (!r) ::unlink(temporary.c_str());
  co_return std::move(r);
}

}  // namespace evp::runtime
