// The seam between module instances and the durable queue: an accepted order has exactly one outcome.
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

enum class blob_priority : std::uint8_t { low = 0, normal = 1, high = 2 };

/// A file operation that a module asked for. `path` has been resolved beneath the instance's workspace once; it is
/// resolved again when the file is read or written, which may be after a restart.
struct blob_order {
  std::string instance;
  wire::blob_operation operation = wire::blob_operation::put;
  blob_priority priority = blob_priority::normal;

  // Either a name in a storage (the hub grants a URL)...
  std::string remote_name;
  std::optional<std::string> storage_name;
  // ... or a URL that the module brings itself.
  secret url;
  http::headers fields;

  std::string path;           ///< beneath the workspace
  bool spool = false;         ///< put: take the bytes into the runtime's spool first; then the file may go
  bool acknowledges = false;  ///< the module confirms outcomes: keep this one until it does

  /// put: the open source file (regular), as it was when the module asked.
  std::shared_ptr<io::unique_fd> source;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
};

/// EVP_BLOB_RESULT with the fields that modules see. `error` is an errno value as the public agent gives it
/// (evp-wire.md C1, C3: 5 EIO, 22 EINVAL, 110 ETIMEDOUT, 1 EPERM, 2 ENOENT ...).
struct blob_outcome {
  enum class kind { success, error, error_http } result = kind::error;
  unsigned http_status = 0;
  int error = 0;
};

/// What became of an operation of an earlier life of the module.
struct earlier_outcome {
  std::uint64_t id = 0;
  wire::blob_operation operation = wire::blob_operation::put;
  std::string remote_name;
  blob_outcome outcome;
};

/// One life of a module's process, as it hears of its operations. All are called on the executor, later than the call
/// that caused them, and never after blobs::end_life().
class blob_listener {
 public:
  virtual ~blob_listener() = default;
  /// The operation is durable, or why it was refused (then nothing else follows): rate_limited (too many, or the queue
  /// is full), too_large, unavailable (the disk takes no writes), invalid_argument.
  virtual void accepted(std::uint64_t ticket, result<std::uint64_t> id) = 0;
  /// Once for each accepted operation, at the latest at its deadline.
  virtual void ended(std::uint64_t ticket, std::uint64_t id, blob_outcome outcome) = 0;
  /// Only after want_outcomes().
  virtual void ended_earlier(earlier_outcome outcome) = 0;
  /// Now and then while the file moves: bytes of it that the storage has, or the device. `total` 0: unknown.
  virtual void progressed(std::uint64_t id, std::uint64_t moved, std::uint64_t total) = 0;
};

/// The durable queue as instances see it. Confined to the runtime's executor.
class blobs {
 public:
  virtual ~blobs() = default;
  /// A process of the instance has begun to ask; the answer (never 0) names this life.
  virtual std::uint32_t begin_life(const std::string& instance, std::weak_ptr<blob_listener> who) = 0;
  /// The process has gone: it hears nothing any more; its operations go on.
  virtual void end_life(std::uint32_t life) = 0;
  /// `ticket` is the life's own name for the operation.
  virtual void submit(std::uint32_t life, std::uint64_t ticket, blob_order order) = 0;
  /// The life wants the outcomes of its instance's earlier lives, now and later.
  virtual void want_outcomes(std::uint32_t life) = 0;
  /// The module has processed the outcome of this operation of its instance.
  virtual void acknowledge(std::uint32_t life, std::uint64_t id) = 0;
  /// The instance still has operations, so its workspace must stay.
  virtual bool holds(const std::string& instance) const = 0;
  /// The instance and its workspace have been removed: nobody will want its outcomes.
  virtual void forget_instance(const std::string& instance) = 0;
  /// Called on the executor when an instance has no operations left.
  std::function<void(const std::string& instance)> on_drained;
};

}  // namespace evp::runtime
