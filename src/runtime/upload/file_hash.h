// The SHA-256 of a file before it is sent, for storages whose grants are bound to it.
#pragma once

#include <memory>
#include <string>

#include "io/files.h"
#include "io/pool.h"

namespace evp::runtime::upload {

/// The SHA-256 (64 hexadecimal digits) of the file's first `size` bytes, read on the pool in pieces, so that other work
/// of the pool gets its turn between them. Ends early when its task is cancelled. Errors: data_corrupt (the file is
/// shorter), cancelled, by errno.
io::task<result<std::string>> hash_of_file(io::pool& disk, std::shared_ptr<io::unique_fd> fd, std::uint64_t size);

}  // namespace evp::runtime::upload
