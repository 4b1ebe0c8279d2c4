#include "storage/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace evp::storage {
namespace {

struct special_network {
  std::string_view cidr;
  std::string_view what;
};

constexpr special_network special[] = {
    {"168.63.129.16",
     "Azure's host service"},  // https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    {"169.254.169.254", "a metadata service"},
    {"fd00:ec2::254", "a metadata service"},
    {"100.100.100.200", "a metadata service"},  // Alibaba Cloud
    {"192.0.0.192", "a metadata service"},      // Oracle Cloud, older
    {"0.0.0.0/8", "an unspecified address"},
    {"10.0.0.0/8", "a private address"},
    {"100.64.0.0/10", "a carrier's shared address"},
    {"127.0.0.0/8", "a loopback address"},
    {"169.254.0.0/16", "a link-local address"},
    {"172.16.0.0/12", "a private address"},
    {"192.0.0.0/24", "a reserved address"},
    {"192.0.2.0/24", "a documentation address"},
    {"192.88.99.0/24", "a reserved address"},
    {"192.168.0.0/16", "a private address"},
    {"198.18.0.0/15", "a benchmarking address"},
    {"198.51.100.0/24", "a documentation address"},
    {"203.0.113.0/24", "a documentation address"},
    {"224.0.0.0/4", "a multicast address"},
    {"240.0.0.0/4", "a reserved address"},
    {"::", "an unspecified address"},
    {"::1", "a loopback address"},
    {"fc00::/7", "a private address"},
    {"fe80::/10", "a link-local address"},
    {"fec0::/10", "a private address"},
    {"ff00::/8", "a multicast address"},
    {"2001:db8::/32", "a documentation address"},
    {"2001:20::/28", "a reserved address"},
    {"3fff::/20", "a documentation address"},
};

bool has_prefix(const ip_address& a, std::initializer_list<std::uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), a.bytes().begin());
}

std::string_view without_v4_mapping(const std::array<std::uint8_t, 16>& b) {
  return {reinterpret_cast<const char*>(b.data()) + 12, 4};
}

}  // namespace

std::optional<ip_address> ip_address::parse(std::string_view text) {
  const std::string copy(text);
  if (copy.size() != text.size() || copy.find('\0') != copy.npos) return std::nullopt;
  ip_address a;
  if (inet_pton(AF_INET, copy.c_str(), a.bytes_.data() + 12) == 1) {
    a.bytes_[10] = a.bytes_[11] = 0xff;
    return a;
  }
  if (inet_pton(AF_INET6, copy.c_str(), a.bytes_.data()) == 1) return a;
  return std::nullopt;
}

bool ip_address::is_v4() const noexcept { return has_prefix(*this, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}); }

std::string ip_address::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4())
    inet_ntop(AF_INET, without_v4_mapping(bytes_).data(), text, sizeof text);
  else
    inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::optional<ip_address> ip_address::embedded_v4() const {
  if (is_v4()) return std::nullopt;
  std::size_t at = 0;
  std::uint8_t mask = 0;
  if (has_prefix(*this, {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}))
    at = 12;  // NAT64, RFC 6052
  else if (has_prefix(*this, {0x20, 0x02}))
    at = 2;  // 6to4, RFC 3056
  else if (has_prefix(*this, {0x20, 0x01, 0, 0}))
    at = 12, mask = 0xff;  // Teredo, RFC 4380: the client's address, inverted
  else if (has_prefix(*this, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) && (bytes_[12] || bytes_[13] || bytes_[14]))
    at = 12;  // IPv4-compatible, RFC 4291, 2.5.5.1
  else
    return std::nullopt;
  ip_address inner;
  inner.bytes_[10] = inner.bytes_[11] = 0xff;
  for (std::size_t i = 0; i < 4; ++i) inner.bytes_[12 + i] = bytes_[at + i] ^ mask;
  return inner;
}

result<ip_network> ip_network::parse(std::string_view text) {
  const auto slash = std::min(text.find('/'), text.size());
  const auto base = ip_address::parse(text.substr(0, slash));
  if (!base) return fail(errc::invalid_argument, "not a network such as 10.0.0.0/8 or fd00::/8");
  const int bits = base->is_v4() ? 32 : 128;
  ip_network n;
  n.base_ = *base;
  int prefix = bits;
  if (slash < text.size()) {
    const auto digits = text.substr(slash + 1);
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (ec != std::errc() || end != digits.data() + digits.size() || prefix < 0 || prefix > bits)
      return fail(errc::invalid_argument, "the number after '/' must be from 0 to " + std::to_string(bits));
  }
  n.prefix_ = prefix + 128 - bits;
  for (int bit = n.prefix_; bit < 128; ++bit)
    if (base->bytes()[std::size_t(bit / 8)] >> (7 - bit % 8) & 1)
      return fail(errc::invalid_argument, "the address has bits beyond the network's prefix");
  return n;
}

bool ip_network::contains(const ip_address& a) const noexcept {
  for (int bit = 0; bit < prefix_; ++bit) {
    const auto i = std::size_t(bit / 8);
    if ((a.bytes()[i] ^ base_.bytes()[i]) >> (7 - bit % 8) & 1) return false;
  }
  return true;
}

ip_address ip_network::last() const noexcept {
  auto out = base_;
  for (int bit = prefix_; bit < 128; ++bit) out.bytes_[std::size_t(bit / 8)] |= std::uint8_t(0x80 >> bit % 8);
  return out;
}

std::optional<std::string_view> why_not_public(const ip_address& a) {
  static const auto table = [] {
    std::vector<std::pair<ip_network, std::string_view>> t;
    for (const auto& s : special) t.emplace_back(*ip_network::parse(s.cidr), s.what);
    return t;
  }();
  for (const auto& [network, what] : table)
    if (network.contains(a)) return what;
  if (const auto inner = a.embedded_v4()) {
    if (a.bytes()[0] == 0 && a.bytes()[1] == 0) return "an IPv4-compatible address";
    return why_not_public(*inner);
  }
  if (!a.is_v4() && (a.bytes()[0] & 0xe0) != 0x20) return "no global unicast address";  // RFC 4291, 2.4: 2000::/3
  return std::nullopt;
}

}  // namespace evp::storage
