// What the journal says: records as structs, and their bytes (docs/journal.md). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace evp::runtime::journal {

enum class operation : std::uint8_t { put = 0, get = 1 };
enum class priority : std::uint8_t { low = 0, normal = 1, high = 2 };
enum class outcome_kind : std::uint8_t { success = 0, error = 1, error_http = 2 };

/// An operation that the runtime has promised to carry out.
struct accepted {
  std::uint64_t id = 0;
  journal::operation operation = journal::operation::put;
  journal::priority priority = journal::priority::normal;
  bool spooled = false;       ///< the bytes lie in the runtime's spool, under the id
  bool acknowledges = false;  ///< the module confirms what it has heard: the outcome is kept until then
  bool named = false;         ///< `storage` is a name; otherwise the hub's default
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
  std::int64_t accepted_ms = 0;  ///< Unix time
  std::int64_t deadline_ms = 0;
  std::string instance, remote_name, storage;
  std::string path;    ///< beneath the workspace; empty where spooled
  std::string own;     ///< the module's own URL and headers, sealed; empty: the hub grants
  std::string sha256;  ///< 32 bytes, or empty: not known
  friend bool operator==(const accepted&, const accepted&) = default;
};

/// The storage has the file; the hub has yet to confirm.
struct sent {
  std::uint64_t id = 0;
  std::uint16_t status = 0;
  std::uint64_t bytes = 0;
  std::string grant_id;
  std::string sha256;  ///< hexadecimal
  friend bool operator==(const sent&, const sent&) = default;
};

/// The one outcome of an operation.
struct ended {
  std::uint64_t id = 0;
  outcome_kind result = outcome_kind::error;
  std::uint16_t http_status = 0;
  std::uint16_t error = 0;  ///< errno
  std::int64_t at_ms = 0;   ///< Unix time
  bool quarantined = false;
  std::string reason;  ///< one sentence without URLs
  friend bool operator==(const ended&, const ended&) = default;
};

/// Nobody needs the outcome any more.
struct forgotten {
  std::uint64_t id = 0;
  friend bool operator==(const forgotten&, const forgotten&) = default;
};

/// Ids below have been given away.
struct next_id {
  std::uint64_t id = 0;
  friend bool operator==(const next_id&, const next_id&) = default;
};

/// An upload in parts has begun; what an earlier record of this kind said of the operation is void.
struct plan_begun {
  std::uint64_t id = 0;
  std::uint64_t part_bytes = 0;
  std::uint32_t part_count = 0, parallel = 0;
  std::string grant_id, certificate_id;
  friend bool operator==(const plan_begun&, const plan_begun&) = default;
};

/// The storage has this part of the plan that was begun last.
struct part_sent {
  std::uint64_t id = 0;
  std::uint32_t number = 0;
  std::string sha256;  ///< 32 bytes of what was sent, or empty
  friend bool operator==(const part_sent&, const part_sent&) = default;
};

/// A grant for later; what an earlier record of this kind said of the operation is void.
struct grant_kept {
  std::uint64_t id = 0;
  std::int64_t at_ms = 0;             ///< Unix time when it came
  std::int64_t lives_ms = 0;          ///< from then on
  std::vector<std::uint16_t> expect;  ///< statuses that mean success
  bool create_only = false;           ///< the storage refuses it once its object exists
  std::string grant_id, certificate_id;
  std::string sealed;  ///< URL and headers; empty: there is none any more
  friend bool operator==(const grant_kept&, const grant_kept&) = default;
};

using record = std::variant<accepted, sent, ended, forgotten, next_id, plan_begun, part_sent, grant_kept>;

inline constexpr std::size_t max_name_bytes = 4096;       ///< of a name, a path or a reason; longer ones are no records
inline constexpr std::size_t max_own_bytes = 256 * 1024;  ///< of what is sealed
inline constexpr std::size_t max_expected = 16;           ///< statuses

/// The record's bytes. Texts must be within the bounds above; longer ones are cut (reasons) or a defect.
std::string encode(const record& r);
/// Takes one record from the front of `bytes`, which must not be empty. Nothing for a type that is not known (it is
/// taken off). Errors: data_corrupt (`bytes` stays as it is).
result<std::optional<record>> take_record(std::string_view& bytes);

}  // namespace evp::runtime::journal
