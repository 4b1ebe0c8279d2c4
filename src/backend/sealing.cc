#include "backend/sealing.h"

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::backend {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::string_view wrap_prefix = "data key of ";

struct parts {
  std::string wrapped, bytes;
};

result<parts> take_apart(std::string_view sealed) {
  const auto first = sealed.find('.');
  const auto second = first == sealed.npos ? first : sealed.find('.', first + 1);
  if (second == sealed.npos || sealed.substr(0, first) != "v1")
    return fail(errc::data_corrupt, "a sealed secret has an unknown form");
  parts out;
  TRY(out.wrapped, from_base64(sealed.substr(first + 1, second - first - 1)));
  TRY(out.bytes, from_base64(sealed.substr(second + 1)));
  return out;
}

std::string wrap(const secret& master_key, const secret& data_key, std::string_view context) {
  return to_base64(aes256gcm_seal(master_key, data_key.reveal(), std::string(wrap_prefix).append(context)));
}

result<secret> unwrap(const master_keys& keys, const std::string& wrapped, std::string_view context) {
  for (const auto& k : keys) {
    auto data_key = aes256gcm_open(k, wrapped, std::string(wrap_prefix).append(context));
    if (data_key) return data_key;
  }
  return fail(errc::data_corrupt,
              "a stored secret does not open with this master key: restore the key that belongs to the database");
}

}  // namespace

result<sealer> sealer::open(const master_key_source& source) {
  TRY(auto keys, source.read());
  return sealer(std::move(keys));
}

std::string sealer::seal(const secret& plain, std::string_view context) const {
  const secret data_key(random_bytes(key_bytes));
  return "v1." + wrap(keys_.front(), data_key, context) + "." +
         to_base64(aes256gcm_seal(data_key, plain.reveal(), context));
}

result<secret> sealer::open_sealed(std::string_view sealed, std::string_view context) const {
  TRY(const auto p, take_apart(sealed));
  TRY(const auto data_key, unwrap(keys_, p.wrapped, context));
  return aes256gcm_open(data_key, p.bytes, context);
}

result<std::string> sealer::rewrap(std::string_view sealed, std::string_view context) const {
  TRY(const auto p, take_apart(sealed));
  TRY(const auto data_key, unwrap(keys_, p.wrapped, context));
  return "v1." + wrap(keys_.front(), data_key, context) + "." + to_base64(p.bytes);
}

std::string sealer::id() const {
  return to_hex(hmac_sha256(keys_.front().reveal(), "id of a master key")).substr(0, 16);
}

}  // namespace evp::backend
