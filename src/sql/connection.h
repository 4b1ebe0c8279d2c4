// The one place that names SOCI: a connection to SQLite. For database.cc and the tests of this folder.
#pragma once

#include <memory>

#include "io/files.h"
#include "sql/database.h"

namespace evp::sql {

/// A connection that also begins and ends transactions.
class session : public connection {
 public:
  virtual result<void> begin() = 0;
  virtual result<void> commit() = 0;
  /// Ends the transaction if there is one.
  virtual void rollback() noexcept = 0;
  /// Some failures (disk full, I/O errors) end a transaction by themselves.
  virtual bool in_transaction() const noexcept = 0;
};

/// Opens or makes the file (mode 0600): WAL, synchronous=FULL (a commit survives a power cut), foreign keys, 5 s of
/// patience with other processes. Errors: unavailable, data_corrupt (no database).
result<std::unique_ptr<session>> open_sqlite(const io::fs::path& file);

}  // namespace evp::sql
