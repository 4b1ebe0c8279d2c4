// The CA bundles that grants name, kept on disk under their hash and never trusted without checking it.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "io/files.h"

namespace evp::runtime {

/// <data>/certificates/<64 hexadecimal digits>.pem. Blocks for the disk. Used from one thread at a time.
class certificate_store {
 public:
  /// Nothing is touched before open().
  explicit certificate_store(io::fs::path folder) : folder_(std::move(folder)) {}

  /// Makes the folder and lists what is in it. Errors by errno.
  result<void> open();
  /// The ids ("sha256:<hex>") of the bundles that open() found or put() has added.
  const std::set<std::string>& ids() const noexcept { return ids_; }

  /// Stores the bundle durably; where the store is full the oldest file goes. Errors: invalid_argument (no PEM
  /// certificates), data_corrupt (the text's SHA-256 is not the id: the bundle was changed on its way), by errno.
  result<void> put(std::string_view id, std::string_view pem);
  /// The bundle. Errors: not_found, data_corrupt (the file has changed; it is removed, so that it is fetched anew).
  result<std::string> read(std::string_view id);

 private:
  io::fs::path file_of(std::string_view id) const;
  void make_room();

  io::fs::path folder_;
  std::set<std::string> ids_;
};

/// Checks the form "sha256:<64 lower-case hexadecimal digits>". Errors: invalid_argument.
result<void> check_certificate_id(std::string_view id);

}  // namespace evp::runtime
