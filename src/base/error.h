// The one error type of OpenEVP, and the catalogue of stable codes that users can search for (docs/errors.md).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace evp {

/// What went wrong, in terms of what the caller may do about it. The names travel: REST answers and the device
/// protocol's `errorCode` carry to_string(errc). Adding one is adding a row to the table in error.cc.
enum class errc {
  invalid_argument,     ///< the request can never succeed as it stands: correct the named field
  unauthenticated,      ///< credentials are missing or wrong: authenticate
  permission_denied,    ///< known, but not allowed: ask an operator
  not_found,            ///< the named thing does not exist
  already_exists,       ///< the named thing exists: choose another name, or change the existing one
  failed_precondition,  ///< correct, but not in the present state: change the state first
  too_large,            ///< a bound on size or number was passed: send less
  rate_limited,         ///< too many requests: wait (retry_after), then try again
  unsupported,          ///< understood, but not offered here
  unavailable,          ///< a peer is out of reach or overloaded: try again later
  deadline_exceeded,    ///< no answer in time: try again
  cancelled,            ///< given up by the caller or by shutdown
  checksum_required,    ///< a file is taken only with its SHA-256 declared: compute it, then ask again
  data_corrupt,         ///< stored or received bytes fail their check
  internal,             ///< a defect of ours: report it
};

/// The stable name, e.g. "invalid_argument".
std::string_view to_string(errc code) noexcept;
/// The inverse of to_string; nothing for a name that is not in the catalogue.
std::optional<errc> errc_from_string(std::string_view name) noexcept;
/// The HTTP status that the REST API answers for it (RFC 9110, 15).
int http_status(errc code) noexcept;
/// The one place that judges whether the same request may succeed later without being changed.
bool is_temporary(errc code) noexcept;

/// A failure: a code, a sentence that says what to do, and where it applies the field it is about. Never holds a
/// secret: messages are logged and sent to users.
class error {
 public:
  error(errc code, std::string message) : code_(code), message_(std::move(message)) {}

  errc code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  /// The request's field in its JSON spelling ("connectionString"), or empty.
  const std::string& field() const noexcept { return field_; }
  std::optional<std::chrono::milliseconds> retry_after() const noexcept { return retry_after_; }

  error&& at(std::string field) && {
    field_ = std::move(field);
    return std::move(*this);
  }
  error&& after(std::chrono::milliseconds wait) && {
    retry_after_ = wait;
    return std::move(*this);
  }
  /// Puts "what: " before the message, for a caller that knows more than the callee.
  error&& during(std::string_view what) && {
    message_.insert(0, ": ").insert(0, what);
    return std::move(*this);
  }

 private:
  errc code_;
  std::string message_;
  std::string field_;
  std::optional<std::chrono::milliseconds> retry_after_;
};

template <class T>
using result = tl::expected<T, error>;

inline tl::unexpected<error> fail(errc code, std::string message) { return tl::unexpected(error(code, std::move(message))); }
inline tl::unexpected<error> fail(errc code, std::string field, std::string message) {
  return tl::unexpected(error(code, std::move(message)).at(std::move(field)));
}
inline tl::unexpected<error> fail(error e) { return tl::unexpected(std::move(e)); }

/// An errno value as an error: "open /x: No such file or directory".
error errno_error(int saved_errno, std::string_view what);

}  // namespace evp

#define EVP_CONCAT_(a, b) a##b
#define EVP_CONCAT(a, b) EVP_CONCAT_(a, b)
#define EVP_TRY_(tmp, decl, expr, ret) \
  auto&& tmp = (expr);                 \
  if (!tmp) ret ::evp::fail(std::move(tmp).error()); \
  decl = std::move(tmp).value()
#define EVP_CHECK_(tmp, expr, ret) \
  do {                             \
    auto&& tmp = (expr);           \
    if (!tmp) ret ::evp::fail(std::move(tmp).error()); \
  } while (false)
/// TRY(auto x, f()) names the value of a result or returns its error; CO_TRY does so in a coroutine.
/// CHECK(f()) and CO_CHECK(co_await f()) are for results without a value.
#define TRY(decl, ...) EVP_TRY_(EVP_CONCAT(evp_result_, __LINE__), decl, (__VA_ARGS__), return)
#define CO_TRY(decl, ...) EVP_TRY_(EVP_CONCAT(evp_result_, __LINE__), decl, (__VA_ARGS__), co_return)
#define CHECK(...) EVP_CHECK_(EVP_CONCAT(evp_result_, __LINE__), (__VA_ARGS__), return)
#define CO_CHECK(...) EVP_CHECK_(EVP_CONCAT(evp_result_, __LINE__), (__VA_ARGS__), co_return)
