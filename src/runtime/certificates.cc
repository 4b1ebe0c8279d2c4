// The CA bundles that grants name: hash-addressed files.
#include "runtime/certificates.h"

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::runtime {

namespace {
constexpr std::string_view prefix = "sha256:";
constexpr std::string_view suffix = ".pem";
constexpr std::size_t digits = 64;
constexpr std::size_t max_bundle_bytes = 128 * 1024;  // what one message can carry
constexpr std::size_t max_bundles = 64;               // a fleet's device knows a handful of storages

std::string id_of(std::string_view pem) { return std::string(prefix) + to_hex(sha256(pem)); }
}  // namespace

result<void> check_certificate_id(std::string_view id) {
  const bool good = id.size() == prefix.size() + digits && id.starts_with(prefix) &&
                    id.find_first_not_of("0123456789abcdef", prefix.size()) == std::string_view::npos;
  if (!good)
    return fail(errc::invalid_argument, "certificateId",
                "a certificate id is sha256: and 64 lower-case hexadecimal digits");
  return {};
}

result<void> certificate_store::open() {
  CHECK(io::make_directories(folder_));
  std::error_code problem;
  for (const auto& entry : io::fs::directory_iterator(folder_, problem)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(suffix)) continue;
    std::string id = std::string(prefix) + name.substr(0, name.size() - suffix.size());
    if (check_certificate_id(id)) ids_.insert(std::move(id));
  }
  if (problem) return fail(errno_error(problem.value(), "list " + folder_.string()));
  return {};
}

result<void> certificate_store::put(std::string_view id, std::string_view pem) {
  CHECK(check_certificate_id(id));
  if (pem.size() > max_bundle_bytes)
    return fail(errc::too_large, "pem", "the certificate bundle is larger than 128 KiB");
  if (id_of(pem) != id)
    return fail(errc::data_corrupt,
                "the certificate bundle does not have the SHA-256 that names it: it was changed on its way");
  CHECK(check_pem_certificates(pem));
  if (!ids_.contains(std::string(id))) make_room();
  CHECK(io::write_file_durably(file_of(id), pem));
  ids_.emplace(id);
  return {};
}

result<std::string> certificate_store::read(std::string_view id) {
  CHECK(check_certificate_id(id));
  auto pem = io::read_file(file_of(id), max_bundle_bytes);
  if (pem && id_of(*pem) == id) return pem;
  ids_.erase(std::string(id));
  if (!pem) return pem;
  std::error_code ignored;
  io::fs::remove(file_of(id), ignored);
  return fail(errc::data_corrupt, "the stored certificate bundle has changed on disk");
}

io::fs::path certificate_store::file_of(std::string_view id) const {
  return folder_ / (std::string(id.substr(prefix.size())) + std::string(suffix));
}

void certificate_store::make_room() {
  while (ids_.size() >= max_bundles) {
    auto oldest = ids_.begin();
    io::fs::file_time_type oldest_time = io::fs::file_time_type::max();
    for (auto i = ids_.begin(); i != ids_.end(); ++i) {
      std::error_code problem;
      const auto written = io::fs::last_write_time(file_of(*i), problem);
      if (!problem && written < oldest_time) oldest = i, oldest_time = written;
    }
    std::error_code ignored;
    io::fs::remove(file_of(*oldest), ignored);
    ids_.erase(oldest);
  }
}

}  // namespace evp::runtime
