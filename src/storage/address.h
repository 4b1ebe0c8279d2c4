// IP addresses and networks, and which of them the backend may be sent to by a user's endpoint.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace evp::storage {

/// An IPv4 or IPv6 address. IPv4 is kept in its IPv4-mapped form (RFC 4291, 2.5.5.2), so both spellings are equal.
class ip_address {
 public:
  /// Strict: four decimal numbers without leading zeros, or RFC 4291 text without zone. Nothing for anything else.
  static std::optional<ip_address> parse(std::string_view text);

  bool is_v4() const noexcept;
  std::string to_string() const;
  const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }
  /// The IPv4 address inside a NAT64, 6to4, Teredo or IPv4-compatible address: where its packets end up.
  std::optional<ip_address> embedded_v4() const;

  friend bool operator==(const ip_address&, const ip_address&) = default;

 private:
  friend class ip_network;
  std::array<std::uint8_t, 16> bytes_{};
};

/// "10.0.0.0/8", "fd00::/8" or a single address.
class ip_network {
 public:
  /// Errors: invalid_argument (no CIDR, or bits set beyond the prefix).
  static result<ip_network> parse(std::string_view text);
  bool contains(const ip_address& a) const noexcept;
  ip_address first() const noexcept { return base_; }
  ip_address last() const noexcept;

 private:
  ip_address base_;
  int prefix_ = 128;
};

/// Why an address is no place on the public Internet ("a loopback address"); nothing if it is one. Table: the IANA
/// special-purpose registries, plus the metadata services of cloud vendors that have public-looking addresses.
/// https://www.iana.org/assignments/iana-ipv4-special-registry
/// https://www.iana.org/assignments/iana-ipv6-special-registry
std::optional<std::string_view> why_not_public(const ip_address& a);

}  // namespace evp::storage
