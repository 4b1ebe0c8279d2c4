#include "backend/service_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/address.h"

namespace evp::backend {
namespace {

constexpr std::size_t max_header_name = 128;
constexpr std::size_t max_header_value = 1024;  // the public agent's request head has 2,176 bytes in all

// Set by the client, bound to the connection, or able to change what was signed.
constexpr std::array<std::string_view, 17> reserved{"Host",
                                                    "Content-Length",
                                                    "Transfer-Encoding",
                                                    "Authorization",
                                                    "Connection",
                                                    "Keep-Alive",
                                                    "TE",
                                                    "Trailer",
                                                    "Upgrade",
                                                    "Expect",
                                                    "Range",
                                                    "Content-Range",
                                                    "Cookie",
                                                    "Date",
                                                    "Proxy-Authorization",
                                                    "Proxy-Authenticate",
                                                    "Proxy-Connection"};

bool is_token(std::string_view text) {
  constexpr std::string_view also = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || also.find(c) != also.npos;
  });
}

bool is_field_value(std::string_view text) {
  if (!text.empty() && (text.front() == ' ' || text.back() == ' ')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

tl::unexpected<error> refuse(std::string message) {
  return fail(errc::invalid_argument, "headers", std::move(message));
}

}  // namespace

result<void> check_headers(const http::headers& fields) {
  if (fields.size() > services::max_headers) return refuse(fmt::format("at most {} headers", services::max_headers));
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& [name, value] = fields[i];
    if (!is_token(name) || name.size() > max_header_name)
      return refuse(fmt::format("header {} has a name that is no token of RFC 9110 with at most {} characters", i + 1,
                                max_header_name));
    if (!is_field_value(value) || value.size() > max_header_value)
      return refuse(
          fmt::format("the value of header {} must be printable ASCII without outer spaces, at most {} characters",
                      name, max_header_value));
    if (std::any_of(reserved.begin(), reserved.end(), [&name = name](auto r) { return http::same_name(r, name); }))
      return refuse(fmt::format("header {} is not for a service to set: leave it out", name));
    for (std::size_t j = 0; j < i; ++j)
      if (http::same_name(fields[j].name, name)) return refuse(fmt::format("header {} occurs twice", name));
  }
  return {};
}

result<void> check_certificate(const std::string& pem) {
  if (pem.empty()) return {};
  if (pem.size() > services::max_certificate_bytes)
    return fail(errc::too_large, "certificate",
                fmt::format("certificate must have at most {} bytes", services::max_certificate_bytes));
  auto ok = check_pem_certificates(pem);
  if (!ok) return fail(std::move(std::move(ok).error()).at("certificate"));
  return {};
}

std::string certificate_id_of(const std::string& pem) {
  return pem.empty() ? std::string() : "sha256:" + to_hex(sha256(pem));
}

result<milliseconds> read_expiration(const std::string& text, milliseconds max) {
  const auto refused = [&] {
    return fail(errc::invalid_argument, "expirationDuration",
                fmt::format("expirationDuration must be an ISO 8601 duration from PT1S to {}, for example PT2M",
                            format_iso8601_duration(max)));
  };
  if (text.empty()) return std::min(services::default_expiration, max);
  const auto read = parse_iso8601_duration(text);
  if (!read || *read < milliseconds(1000) || *read > max) return refused();
  return *read;
}

result<std::optional<milliseconds>> read_offline_duration(const std::string& text, milliseconds expiration,
                                                          std::string_view type, const storage::capabilities& caps) {
  if (text.empty()) return std::nullopt;
  const auto refused = [](std::string why) {
    return fail(errc::invalid_argument, "offlineGrantDuration", std::move(why));
  };
  if (!caps.enforces.has(storage::bound::object) || !caps.enforces.has(storage::bound::expiry))
    return refused(
        fmt::format("{} as configured cannot bind a grant to one object and a time, which a grant that "
                    "devices keep must be: leave offlineGrantDuration out",
                    type));
  const auto max = std::min(services::max_offline_duration, caps.max_lifetime);
  const auto read = parse_iso8601_duration(text);
  if (!read || *read < expiration || *read > max)
    return refused(
        fmt::format("offlineGrantDuration must be an ISO 8601 duration from {} (the expirationDuration) "
                    "to {}, for example P1D",
                    format_iso8601_duration(expiration), format_iso8601_duration(max)));
  return *read;
}

std::string_view to_string(verification v) noexcept {
  return v == verification::head ? "head" : v == verification::put_checksum ? "put-checksum" : "none";
}

result<verification> verification_from_string(std::string_view text) {
  for (const auto v : {verification::head, verification::put_checksum, verification::none})
    if (text == to_string(v)) return v;
  return fail(errc::invalid_argument, "verify", "verify must be head, put-checksum or none");
}

result<void> check_verification(verification v, std::string_view type, const storage::capabilities& caps) {
  if (v != verification::put_checksum || caps.enforces.has(storage::bound::sha256)) return {};
  return fail(
      errc::invalid_argument, "verify",
      fmt::format("verify put-checksum needs a storage that refuses other bytes than those of a SHA-256, and {} "
                  "as configured does not: use head, or none where the credentials may only write",
                  type));
}

std::string_view to_string(enforcement e) noexcept {
  return e == enforcement::storage ? "storage" : e == enforcement::backend ? "backend" : "nobody";
}

enforcement service_view::enforcement_of(storage::bound b) const noexcept {
  if (enforced.has(b)) return enforcement::storage;
  const bool is_size = b == storage::bound::size || b == storage::bound::max_size;
  return is_size && verify == verification::head ? enforcement::backend : enforcement::nobody;
}

result<void> check_bounds(const service_bounds& b) {
  if (b.max_size && (*b.max_size == 0 || *b.max_size > std::uint64_t(INT64_MAX)))
    return fail(errc::invalid_argument, "bounds.maxSize", "bounds.maxSize must be a number of bytes from 1 on");
  if (b.source_address.empty() || storage::ip_network::parse(b.source_address)) return {};
  return fail(errc::invalid_argument, "bounds.sourceAddress",
              "bounds.sourceAddress must be an IP address or a network such as 192.0.2.0/24");
}

storage::bounds enforceable(const storage::capabilities& caps, const service_bounds& asked) {
  const bool no_form = asked.create_only || !asked.source_address.empty();
  return no_form ? caps.enforces.without(caps.by_form) : caps.enforces;
}

void add_bound_warnings(const service_bounds& asked, verification verify, const storage::capabilities& caps,
                        std::vector<std::string>& warnings) {
  if (asked.create_only && !caps.enforces.has(storage::bound::create_only))
    warnings.push_back("bounds.createOnly: this storage cannot keep a grant from replacing an object that exists.");
  if (!asked.source_address.empty() && !caps.enforces.has(storage::bound::source_address))
    warnings.push_back("bounds.sourceAddress: this storage cannot bind a grant to an address; it has no effect.");
  if (asked.max_size && !caps.enforces.has(storage::bound::max_size) && !caps.enforces.has(storage::bound::size))
    warnings.push_back(
        verify == verification::head
            ? "bounds.maxSize: this storage cannot refuse a larger object; the backend finds it when it "
              "checks the upload, and the upload is failed."
            : fmt::format("bounds.maxSize: neither this storage nor, with verify {}, the backend finds a "
                          "larger object; only what devices declare is checked.",
                          to_string(verify)));
  if (verify == verification::head && !caps.can_stat)
    warnings.push_back(
        fmt::format("verify: these credentials cannot look at objects; set verify to {}, or uploads will fail.",
                    caps.enforces.has(storage::bound::sha256) ? "put-checksum" : "none"));
}

}  // namespace evp::backend
