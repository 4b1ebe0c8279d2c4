#include "storage/endpoint.h"

#include <charconv>

#include "base/encoding.h"
#include "storage/address.h"

namespace evp::storage {
namespace {

constexpr std::size_t url_max = 8192;  // S3 URLs with session tokens reach about 3 KiB
constexpr std::size_t host_max = 253;  // RFC 1035, 2.3.4
constexpr std::size_t label_max = 63;

tl::unexpected<error> bad(std::string what) { return fail(errc::invalid_argument, "not a usable URL: " + what); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_host_character(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_'; }

/// WHATWG URL, 3.5: a host whose last label is a number is an IPv4 address or nothing.
bool ends_in_number(std::string_view host) {
  const auto dot = host.rfind('.');
  const auto last = dot == host.npos ? host : host.substr(dot + 1);
  if (last.starts_with("0x")) return last.find_first_not_of("0123456789abcdef", 2) == last.npos;
  return last.find_first_not_of("0123456789") == last.npos;
}

result<void> check_host(std::string_view host) {
  if (host.starts_with('[')) {
    if (host.size() < 4 || !host.ends_with(']') || !ip_address::parse(host.substr(1, host.size() - 2)))
      return bad("the brackets hold no IPv6 address");
    return {};
  }
  if (host.empty() || host.size() > host_max) return bad("the host is missing or too long");
  for (std::size_t at = 0; at <= host.size();) {
    const auto end = std::min(host.find('.', at), host.size());
    const auto label = host.substr(at, end - at);
    if (label.empty() || label.size() > label_max) return bad("the host has an empty or overlong part");
    for (const char c : label)
      if (!is_host_character(c)) return bad("the host has a character that host names don't have");
    at = end + 1;
  }
  if (ends_in_number(host) && !ip_address::parse(host))
    return bad("write the IPv4 address as four decimal numbers without leading zeros");
  return {};
}

}  // namespace

std::string endpoint::authority() const {
  const bool usual = port == (scheme == "https" ? 443 : 80);
  return usual ? host : host + ":" + std::to_string(port);
}

bool endpoint::is_local_or_ip() const {
  return host == "localhost" || host.ends_with(".localhost") || host.starts_with('[') || ip_address::parse(host);
}

result<endpoint> parse_url(std::string_view url) {
  if (url.size() > url_max) return bad("it is longer than 8192 bytes");
  for (const unsigned char c : url)
    if (c <= 0x20 || c >= 0x7f || c == '\\') return bad("it has white space, a backslash or unencoded characters");

  endpoint e;
  const auto colon = url.find("://");
  for (const char c : url.substr(0, std::min(colon, url.size()))) e.scheme += char(c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (colon == url.npos || (e.scheme != "http" && e.scheme != "https"))
    return bad("it must begin with https:// or http://");

  const auto rest = url.substr(colon + 3);
  const auto authority = rest.substr(0, std::min(rest.find_first_of("/?#"), rest.size()));
  e.target = rest.substr(authority.size());
  if (e.target.find('#') != e.target.npos) return bad("it has a fragment ('#')");
  if (authority.find('@') != authority.npos) return bad("it has a user name ('@')");

  const auto bracket = authority.find(']');
  const auto port_at = authority.find(':', bracket == authority.npos ? 0 : bracket);
  for (const char c : authority.substr(0, port_at)) e.host += char(c >= 'A' && c <= 'Z' ? c + 32 : c);
  CHECK(check_host(e.host));

  e.port = e.scheme == "https" ? 443 : 80;
  if (port_at != authority.npos) {
    const auto digits = authority.substr(port_at + 1);
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), e.port);
    if (ec != std::errc() || end != digits.data() + digits.size() || e.port == 0)
      return bad("the port is no number from 1 to 65535");
  }
  return e;
}

result<endpoint> parse_endpoint(std::string_view url) {
  TRY(auto e, parse_url(url));
  if (e.target.find('?') != e.target.npos) return bad("an endpoint has no query ('?')");
  if (e.target.ends_with('/')) e.target.pop_back();
  return e;
}

}  // namespace evp::storage
