// What the hub wants of this device, kept on disk so that the runtime starts without the hub.
#pragma once

#include <optional>
#include <string>

#include "io/files.h"
#include "wire/messages.h"

namespace evp::runtime {

/// <data>/twins/desired: the last good GET response as text ({"shared":{...}}). Blocks for the disk.
class twin_store {
 public:
  explicit twin_store(io::fs::path folder) : folder_(std::move(folder)) {}
  /// Makes the folder; the last saved state, or an empty one. Errors: data_corrupt (the file can't be read; it is left
  /// as it is until the next save), by errno.
  result<wire::shared_attributes> open();
  /// Replaces the file durably. Any thread, one at a time. Errors by errno.
  result<void> save(std::string_view encoded) const;

 private:
  io::fs::path folder_;
};

}  // namespace evp::runtime
