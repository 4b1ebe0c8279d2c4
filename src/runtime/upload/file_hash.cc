#include "runtime/upload/file_hash.h"

#include <unistd.h>

#include <cerrno>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::runtime::upload {
namespace {

constexpr std::uint64_t turn_bytes = 8 << 20;  // some 20 ms of a small device's processor: the journal waits no longer
constexpr std::size_t read_bytes = 256 * 1024;

/// Reads [from, to) into the hash.
result<void> take_in(sha256_stream& hash, int fd, std::uint64_t from, std::uint64_t to) {
  std::string chunk(read_bytes, '\0');
  while (from < to) {
    const auto n = ::pread(fd, chunk.data(), std::min<std::uint64_t>(to - from, chunk.size()), off_t(from));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, "read the file"));
    if (n == 0) return fail(errc::data_corrupt, "the file became shorter while it was read");
    hash.update(std::string_view(chunk.data(), std::size_t(n)));
    from += std::uint64_t(n);
  }
  return {};
}

}  // namespace

io::task<result<std::string>> hash_of_file(io::pool& disk, std::shared_ptr<io::unique_fd> fd, std::uint64_t size) {
  auto hash = std::make_shared<sha256_stream>();
  for (std::uint64_t at = 0; at < size;) {
    const auto end = std::min(size, at + turn_bytes);
    auto work = [hash, fd, at, end] { return take_in(*hash, fd->get(), at, end); };
    CO_CHECK(co_await io::run_on(disk, std::move(work)));
    const bool over = co_await io::is_cancelled();
    if (over) co_return fail(errc::cancelled, "stopped while the file was read");
    at = end;
  }
  co_return to_hex(hash->finish());
}

}  // namespace evp::runtime::upload
