// The built-in object store: objects as files below one folder, and the signed URLs that let devices reach them.
//
// How an HTTP route serves it (PUT, GET and HEAD of /objects/{name...}, PUT as a streamed route):
//   1. verify_local_url(key, method, path, query, clock.now())      -> which object, or 403 / 400
//   2. PUT:  local_store(root, access.container).begin(access.object, conditions taken from the request's fields),
//            write() each piece, then commit(); a dropped upload leaves nothing behind
//      GET, HEAD: open() -> descriptor, size, ETag; parse_byte_range() for the Range field
// Functions block for the disk (begin, write, commit, open, remove): call them on an io::pool. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "io/files.h"
#include "storage/driver.h"

namespace evp::storage {

/// The largest object of the LOCAL store: what one PUT may carry elsewhere too, so that objects can move to any vendor.
inline constexpr std::uint64_t local_max_object_bytes = 5ULL << 30;

// ---- signed URLs ----

/// What a verified URL permits.
struct local_access {
  std::string container;
  std::string object;
  operation op = operation::put;
  timestamp expires_at;
  std::string parts_id;  ///< of an upload in parts; empty: the whole object
  part_place part;
};

/// Makes "<base_url>/objects/<container>/<object>?exp=<ms since 1970>&op=<PUT|GET>&sig=<base64url>", where sig is
/// HMAC-SHA256 (key) over op, container, object and expiry, and for a part over
/// "&up=<id>&part=<n>&off=<offset>&len=<length>".
secret sign_local_url(const secret& key, std::string_view base_url, const local_access& access);

/// Checks such a URL as it was received: `path` and `query` still encoded. A GET URL also permits HEAD; a PUT URL
/// permits PUT alone. At the millisecond of its expiry a URL is dead. Pure. Errors: permission_denied (missing or wrong
/// signature, other method, expired; the message says which, without the URL), invalid_argument (encoding, name).
result<local_access> verify_local_url(const secret& key, std::string_view method, std::string_view path,
                                      std::string_view query, timestamp now);

// ---- objects ----

/// What the sender of an object demands, from the request's fields.
struct put_conditions {
  bool create_only = false;                     ///< If-None-Match: *
  std::string content_md5;                      ///< Content-MD5, base64 as received; empty: not checked
  std::optional<std::uint64_t> content_length;  ///< more or less than this is an error
  std::uint64_t max_bytes = local_max_object_bytes;
};

/// An object opened for reading. It stays whole while it is being read, even when it is replaced or removed meanwhile.
struct opened_object {
  std::shared_ptr<io::unique_fd> fd;
  object_info info;
  timestamp last_modified;
};

/// One object on its way in. Dropping it before commit() leaves no trace.
class local_upload {
 public:
  ~local_upload();
  local_upload(local_upload&&) noexcept;
  local_upload& operator=(local_upload&&) noexcept;

  /// Appends. Errors: too_large (max_bytes or content_length passed), unavailable (disk full or failing).
  result<void> write(std::string_view bytes);
  /// Makes the object visible, whole and durable (fsync, rename, fsync of the folder), replacing an older one.
  /// Errors: data_corrupt (Content-MD5 or length differ: 400), already_exists (create_only: 412), unavailable.
  result<object_info> commit();

 private:
  friend class local_store;
  struct state;
  explicit local_upload(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

/// One container: a folder of files. An object's name is percent-encoded into one file name (so no name can leave the
/// folder, and no two names meet); where that would pass the file system's 255 bytes, it ends in the name's SHA-256.
/// Cheap to make; several may work on the same folder at once.
class local_store {
 public:
  local_store(io::fs::path root, std::string_view container);

  /// Makes the folder (0700) where it is missing and removes what uploads interrupted a day ago or more, and uploads in
  /// parts untouched for a week, have left.
  /// Cheap: looks at uploads under way only, so it may come before each begin().
  result<void> prepare();
  /// Errors: invalid_argument (Content-MD5 that is no base64 of 16 bytes, name), already_exists, too_large
  /// (content_length beyond max_bytes), unavailable.
  result<local_upload> begin(std::string_view object, put_conditions conditions = {});

  // Uploads in parts. All parts of one lie in one file, each at its offset, so that committing copies nothing.

  /// Begins one and gives its id. Errors: unavailable.
  result<std::string> begin_parts();
  /// Like begin, for one part; commit() makes it count. conditions.content_length must be part.length. Errors:
  /// not_found (no such upload), invalid_argument, too_large, unavailable.
  result<local_upload> begin_part(std::string_view parts_id, part_place part, put_conditions conditions);
  /// By number. Errors: not_found, unavailable.
  result<std::vector<stored_part>> list_parts(std::string_view parts_id) const;
  /// Makes the object, whole and durable, replacing an older one. The caller has seen that all parts are there. Errors:
  /// not_found, unavailable.
  result<void> commit_parts(std::string_view object, std::string_view parts_id);
  /// A missing upload counts as dropped. Errors: unavailable.
  result<void> abort_parts(std::string_view parts_id);

  /// Errors: not_found, unavailable.
  result<opened_object> open(std::string_view object) const;
  /// Errors: not_found, unavailable.
  result<object_info> stat(std::string_view object) const;
  /// The whole object. Errors: as stat, too_large (more than max_bytes).
  result<std::string> read(std::string_view object, std::uint64_t max_bytes) const;
  /// A missing object counts as removed. Errors: unavailable.
  result<void> remove(std::string_view object);

  /// The file that holds the object, for people and tests.
  io::fs::path file_of(std::string_view object) const;

 private:
  io::fs::path folder_;
};

/// A part of a representation (RFC 9110, 14).
struct byte_range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
/// Reads the Range field ("bytes=0-99", "bytes=100-", "bytes=-5") for a representation of that size. Nothing means
/// "send all of it": no field, another unit, several ranges or bad syntax, which RFC 9110 14.2 lets a server ignore.
/// Errors: invalid_argument (unsatisfiable: answer 416 with "Content-Range: bytes */<size>").
result<std::optional<byte_range>> parse_byte_range(std::string_view field, std::uint64_t size);

}  // namespace evp::storage
