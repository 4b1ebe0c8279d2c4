// How secrets lie on disk: each sealed with a data key of its own, and that key wrapped by the master key.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "backend/master_key.h"

namespace evp::backend {

/// Seals with the first of the master keys and opens with any. AES-256-GCM twice: a fresh data key seals the secret,
/// the master key wraps the data key; both authenticate the context, so that a sealed text opens only in the place it
/// was made for (a service's id with the option's name, say). Text form: "v1.<wrapped key>.<sealed bytes>" in base64.
/// Confined to one thread at a time.
class sealer {
 public:
  /// One key at least.
  explicit sealer(master_keys keys) : keys_(std::move(keys)) {}
  /// With what the source has. Errors: the source's.
  static result<sealer> open(const master_key_source& source);

  std::string seal(const secret& plain, std::string_view context) const;
  /// Errors: data_corrupt (none of the master keys fits, another context, or changed text).
  result<secret> open_sealed(std::string_view sealed, std::string_view context) const;
  /// The same secret under the first of the keys: only its data key is wrapped anew. Errors: open_sealed's.
  result<std::string> rewrap(std::string_view sealed, std::string_view context) const;

  /// What tells the first key from others and says nothing of it: 16 hexadecimal digits.
  std::string id() const;
  const master_keys& keys() const noexcept { return keys_; }
  void use(master_keys keys) { keys_ = std::move(keys); }

 private:
  master_keys keys_;
};

}  // namespace evp::backend
