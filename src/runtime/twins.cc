// What the hub wants of this device, on disk.
#include "runtime/twins.h"

namespace evp::runtime {

result<wire::shared_attributes> twin_store::open() {
  CHECK(io::make_directories(folder_));
  auto text = io::read_file(folder_ / "desired", wire::max_message_bytes);
  if (!text && text.error().code() == errc::not_found) return wire::shared_attributes{};
  if (!text) return fail(std::move(text).error());
  auto saved = wire::decode_shared_attributes(*text, true);
  if (!saved) return fail(errc::data_corrupt, "twins/desired: " + saved.error().message());
  // A later version may check more than the one that wrote the file.
  if (saved->deployment)
    if (const auto good = wire::decode_deployment(*saved->deployment); !good)
      return fail(errc::data_corrupt, "twins/desired: " + good.error().message());
  return saved;
}

result<void> twin_store::save(std::string_view encoded) const {
  return io::write_file_durably(folder_ / "desired", encoded);
}

}  // namespace evp::runtime
