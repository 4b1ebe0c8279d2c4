// The seam between module instances and the upload engine: an accepted order has exactly one outcome.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/secret.h"
#include "http/message.h"
#include "io/files.h"
#include "wire/messages.h"

namespace evp::runtime {

/// A file operation that a module asked for. Paths are already resolved beneath the instance's workspace.
struct blob_order {
  std::string instance;
  wire::blob_operation operation = wire::blob_operation::put;

  // Either a name in a storage (the hub grants a URL)...
  std::string remote_name;
  std::optional<std::string> storage_name;
  // ... or a URL that the module brings itself.
  secret url;
  http::headers fields;

  /// put: the open source file (regular, O_NOFOLLOW), read from offset 0 to `size`.
  std::shared_ptr<io::unique_fd> source;
  std::uint64_t size = 0;
  /// get: the open folder and the name within it; the file is written beside it and renamed, so an old file survives a failure.
  std::shared_ptr<io::unique_fd> target_folder;
  std::string target_name;
};

/// EVP_BLOB_RESULT with the fields that modules see. `error` is an errno value as the public agent gives it
/// (evp-wire.md C1, C3: 5 EIO, 22 EINVAL, 110 ETIMEDOUT, 1 EPERM, 2 ENOENT ...).
struct blob_outcome {
  enum class kind { success, error, error_http } result = kind::error;
  unsigned http_status = 0;
  int error = 0;
};

/// The upload engine as instances see it. Confined to the runtime's executor.
class blobs {
 public:
  virtual ~blobs() = default;
  /// Accepts the order; `done` is called exactly once, later, on the executor, at the latest at the engine's deadline.
  /// Errors (then `done` is never called): rate_limited (too many orders of this instance: EVP_DENIED), invalid_argument.
  virtual result<std::uint64_t> submit(blob_order order, std::function<void(blob_outcome)> done) = 0;
  /// The instance's process has gone: its callbacks will not be called any more; orders go on.
  virtual void forget_callbacks(const std::string& instance) = 0;
};

}  // namespace evp::runtime
