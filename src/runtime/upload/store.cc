// The queue on the disk: what each file is for is in docs/journal.md.
#include "runtime/upload/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <charconv>

#include "base/crypto.h"

namespace evp::runtime::upload {

namespace {
constexpr std::size_t key_bytes = 32;
constexpr std::size_t copy_bytes = 256 * 1024;

std::string spool_name(operation_id id) { return fmt::format("{:016x}", id); }

std::optional<operation_id> id_of(const std::string& name) {
  operation_id id = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), id, 16);
  if (problem != std::errc() || end != name.data() + name.size() || spool_name(id) != name) return std::nullopt;
  return id;
}

result<secret> read_or_make_key(const io::fs::path& path) {
  auto found = io::read_file(path, 4096);
  if (!found && found.error().code() == errc::not_found) {
    secret made(random_bytes(key_bytes));
    CHECK(io::write_file_durably(path, made.reveal()));
    return made;
  }
  if (!found) return fail(std::move(found).error());
  if (found->size() != key_bytes)
    return fail(errc::data_corrupt, path.string() +
                                        " does not hold 32 bytes: remove it; uploads to URLs that modules "
                                        "brought themselves, and that wait now, will fail");
  return secret(std::move(*found));
}
}  // namespace

result<std::unique_ptr<store>> store::open(const io::fs::path& folder) {
  std::unique_ptr<store> s(new store());
  s->folder_ = folder;
  TRY(s->files_, io::posix_disk::open(folder));
  TRY(s->spool_, io::posix_disk::open(folder / "spool"));
  TRY(s->key_, read_or_make_key(folder / "key"));
  s->journal_ = std::make_unique<journal::journal>(*s->files_);
  return s;
}

result<std::vector<journal::record>> store::recover() {
  TRY(auto found, journal_->open());
  for (const auto& d : found.damaged) {
    damaged_bytes_ += d.bytes;
    spdlog::error("the queue's journal is damaged: {} bytes at offset {} are lost; a copy is kept in {}", d.bytes,
                  d.offset, folder_.string());
  }
  if (found.torn_bytes > 0) spdlog::info("the queue's journal had {} unfinished bytes at its end", found.torn_bytes);
  return std::move(found.records);
}

result<void> store::clean_spool(const std::function<bool(operation_id)>& wanted) {
  TRY(const auto files, spool_->list());
  for (const auto& f : files) {
    const auto id = id_of(f.name);
    if (!id || !wanted(*id)) CHECK(spool_->remove(f.name));
  }
  return {};
}

result<void> store::carry_out(const write& w) {
  // A journal that a failure has spoilt takes nothing but its whole content, which the queue gives after that failure.
  return w.replace ? journal_->rewrite(w.records) : journal_->append(w.records, w.sync);
}

result<std::string> store::spool(operation_id id, int fd, std::uint64_t size) {
  const auto name = spool_name(id);
  CHECK(spool_->create(name));
  sha256_stream hash;
  std::string chunk(copy_bytes, '\0');
  for (std::uint64_t at = 0; at < size;) {
    const auto want = std::min<std::uint64_t>(size - at, chunk.size());
    const auto n = ::pread(fd, chunk.data(), want, off_t(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, "read the blob"));
    if (n == 0) return fail(errc::data_corrupt, "the blob's file became shorter while it was read");
    const std::string_view bytes(chunk.data(), std::size_t(n));
    hash.update(bytes);
    CHECK(spool_->append(name, bytes));
    at += std::uint64_t(n);
  }
  CHECK(spool_->sync(name));
  CHECK(spool_->sync_folder());
  return hash.finish();
}

result<std::shared_ptr<io::unique_fd>> store::open_spooled(operation_id id) const {
  const auto path = folder_ / "spool" / spool_name(id);
  auto fd = std::make_shared<io::unique_fd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!*fd) return fail(errno_error(errno, path.string()));
  return fd;
}

void store::drop_spooled(operation_id id) {
  if (auto gone = spool_->remove(spool_name(id)); !gone) spdlog::warn("spool: {}", gone.error().message());
}

std::string store::own_url_of(const std::string& instance) { return "evp-runtime own url " + instance; }
std::string store::kept_grant_of(operation_id id) { return "evp-runtime kept grant " + std::to_string(id); }

std::string store::seal(const secret& key, const std::string& purpose, const secret& url, const http::headers& fields) {
  std::string text = url.reveal();
  for (const auto& h : fields) text += "\n" + h.name + ":" + h.value;
  auto sealed = aes256gcm_seal(key, text, purpose);
  OPENSSL_cleanse(text.data(), text.size());
  return sealed;
}

result<grant> store::unseal(const secret& key, const std::string& purpose, std::string_view sealed) {
  TRY(const auto text, aes256gcm_open(key, sealed, purpose));
  std::string_view left = text.reveal();
  const auto line = [&left] {
    const auto end = std::min(left.find('\n'), left.size());
    const auto out = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    return out;
  };
  grant g;
  g.url = secret(std::string(line()));
  while (!left.empty()) {
    const auto field = line();
    const auto colon = field.find(':');
    g.fields.push_back({std::string(field.substr(0, colon)), std::string(field.substr(colon + 1))});
  }
  return g;
}

}  // namespace evp::runtime::upload
