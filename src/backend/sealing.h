// How secrets lie on disk: each sealed with a data key of its own, and that key wrapped by the master key.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"
#include "io/files.h"

namespace evp::backend {

/// Seals and opens with one master key (32 bytes). AES-256-GCM twice: a fresh data key seals the secret, the master key
/// wraps the data key; both authenticate the context, so that a sealed text opens only in the place it was made for
/// (a service's id with the option's name, say). Text form: "v1.<wrapped key>.<sealed bytes>" in base64. Any thread.
class sealer {
 public:
  /// Reads the key file (64 hexadecimal digits), or makes it with mode 0600 when it is missing. Blocks for the disk.
  /// Errors: failed_precondition (the mode lets group or others in, another user owns it, or it is no regular file:
  /// says what to do), data_corrupt (it holds no key), and those of io::read_file.
  static result<sealer> open(const io::fs::path& key_file);
  /// master_key: 32 bytes.
  explicit sealer(secret master_key) : master_key_(std::move(master_key)) {}

  std::string seal(const secret& plain, std::string_view context) const;
  /// Errors: data_corrupt (another master key, another context, or changed text).
  result<secret> open_sealed(std::string_view sealed, std::string_view context) const;

 private:
  secret master_key_;
};

}  // namespace evp::backend
