#include "base/error.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace evp {
namespace {

struct row {
  errc code;
  std::string_view name;
  int status;
  bool temporary;
};

constexpr std::array rows{
    row{errc::invalid_argument, "invalid_argument", 400, false},
    row{errc::unauthenticated, "unauthenticated", 401, false},
    row{errc::permission_denied, "permission_denied", 403, false},
    row{errc::not_found, "not_found", 404, false},
    row{errc::already_exists, "already_exists", 409, false},
    row{errc::failed_precondition, "failed_precondition", 409, false},
    row{errc::too_large, "too_large", 413, false},
    row{errc::rate_limited, "rate_limited", 429, true},
    row{errc::unsupported, "unsupported", 422, false},
    row{errc::unavailable, "unavailable", 503, true},
    row{errc::deadline_exceeded, "deadline_exceeded", 504, true},
    row{errc::cancelled, "cancelled", 503, false},
    row{errc::checksum_required, "checksum_required", 428, false},  // RFC 6585, 3
    row{errc::data_corrupt, "data_corrupt", 500, false},
    row{errc::internal, "internal", 500, false},
};

constexpr const row& find(errc code) { return rows[static_cast<std::size_t>(code)]; }

constexpr bool in_order() {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].code != static_cast<errc>(i)) return false;
  return true;
}
static_assert(in_order() && rows.size() == static_cast<std::size_t>(errc::internal) + 1);

errc code_of(int e) {
  switch (e) {
    case ENOENT: case ENODEV: case ENXIO: return errc::not_found;
    case EEXIST: return errc::already_exists;
    case EACCES: case EPERM: case ELOOP: case EXDEV: case EROFS: return errc::permission_denied;
    case EINVAL: case ENOTDIR: case EISDIR: case ENAMETOOLONG: return errc::invalid_argument;
    case EFBIG: case E2BIG: return errc::too_large;
    case ENOSPC: case EDQUOT: case EMFILE: case ENFILE: case ENOMEM: case EAGAIN: case EBUSY:
    case ECONNREFUSED: case ECONNRESET: case EPIPE: case ENETUNREACH: case EHOSTUNREACH: case EADDRINUSE:
      return errc::unavailable;
    case ETIMEDOUT: return errc::deadline_exceeded;
    case ECANCELED: return errc::cancelled;
    case EOPNOTSUPP: case ENOSYS: return errc::unsupported;
    default: return errc::internal;
  }
}

}  // namespace

std::string_view to_string(errc code) noexcept { return find(code).name; }

std::optional<errc> errc_from_string(std::string_view name) noexcept {
  for (const auto& r : rows)
    if (r.name == name) return r.code;
  return std::nullopt;
}

int http_status(errc code) noexcept { return find(code).status; }
bool is_temporary(errc code) noexcept { return find(code).temporary; }

error errno_error(int saved_errno, std::string_view what) {
  return error(code_of(saved_errno), std::strerror(saved_errno)).during(what);
}

}  // namespace evp
