#include "backend/sealing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::backend {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::string_view wrap_prefix = "data key of ";

result<void> check_file(const io::fs::path& file) {
  struct stat s {};
  if (::lstat(file.c_str(), &s) != 0) return fail(errno_error(errno, "look at the master key " + file.string()));
  if (!S_ISREG(s.st_mode))
    return fail(errc::failed_precondition, "the master key " + file.string() + " must be a regular file, no link");
  if (s.st_uid != ::geteuid())
    return fail(errc::failed_precondition, "the master key " + file.string() +
                                               " belongs to another user: chown it to the one that runs the backend");
  if ((s.st_mode & 0077) != 0)
    return fail(errc::failed_precondition, "the master key " + file.string() + " can be read by others: chmod 600 it");
  return {};
}

}  // namespace

result<sealer> sealer::open(const io::fs::path& key_file) {
  std::error_code ignored;
  if (!io::fs::exists(io::fs::symlink_status(key_file, ignored)))
    CHECK(io::write_file_durably(key_file, to_hex(random_bytes(key_bytes)) + "\n", 0600));
  CHECK(check_file(key_file));
  TRY(auto read, io::read_file(key_file, 1024));
  const secret text(std::move(read));
  std::string_view digits = text.reveal();
  while (!digits.empty() && (digits.back() == '\n' || digits.back() == '\r')) digits.remove_suffix(1);
  auto key = from_hex(digits);
  if (!key || key->size() != key_bytes)
    return fail(errc::data_corrupt,
                "the master key " + key_file.string() + " must hold 64 hexadecimal digits: restore it from a backup");
  return sealer(secret(*std::move(key)));
}

std::string sealer::seal(const secret& plain, std::string_view context) const {
  const secret data_key(random_bytes(key_bytes));
  const auto wrapped = aes256gcm_seal(master_key_, data_key.reveal(), std::string(wrap_prefix).append(context));
  return "v1." + to_base64(wrapped) + "." + to_base64(aes256gcm_seal(data_key, plain.reveal(), context));
}

result<secret> sealer::open_sealed(std::string_view sealed, std::string_view context) const {
  const auto first = sealed.find('.');
  const auto second = first == sealed.npos ? first : sealed.find('.', first + 1);
  if (second == sealed.npos || sealed.substr(0, first) != "v1")
    return fail(errc::data_corrupt, "a sealed secret has an unknown form");
  TRY(const auto wrapped, from_base64(sealed.substr(first + 1, second - first - 1)));
  TRY(const auto bytes, from_base64(sealed.substr(second + 1)));
  auto data_key = aes256gcm_open(master_key_, wrapped, std::string(wrap_prefix).append(context));
  if (!data_key)
    return fail(errc::data_corrupt,
                "a stored secret does not open with this master key: restore the key that belongs to the database");
  return aes256gcm_open(*data_key, bytes, context);
}

}  // namespace evp::backend
