#include "storage/drivers/sealed_id.h"

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::storage {

sealed_ids::sealed_ids(const driver_context& context)
    : key_(sha256("ids of uploads\n" + context.local_signing_key.reveal())) {}

std::string sealed_ids::seal(std::string_view id, std::string_view object) const {
  return to_hex(aes256gcm_seal(key_, id, object));
}

result<std::string> sealed_ids::open(std::string_view sealed, std::string_view object) const {
  const auto bytes = from_hex(sealed);
  if (bytes)
    if (const auto id = aes256gcm_open(key_, *bytes, object)) return id->reveal();
  return fail(errc::not_found, "the storage has no such upload in parts");
}

}  // namespace evp::storage
