// Where a storage is: the strict reading of endpoint URLs that drivers and the endpoint guard share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace evp::storage {

/// A URL taken apart. The host is in lower case; an IPv6 literal keeps its brackets.
struct endpoint {
  std::string scheme;      ///< "http" or "https"
  std::string host;        ///< "s3.example.com", "127.0.0.1", "[::1]"
  std::uint16_t port = 0;  ///< never 0 after parsing: the scheme's own where the URL names none
  std::string target;      ///< all that follows, as it stands: "", "/", "/path?query"

  /// "host" or "host:port", as the Host field has it: the scheme's own port is left out.
  std::string authority() const;
  /// "scheme://authority".
  std::string origin() const { return scheme + "://" + authority(); }
  /// The host is an IP address or "localhost": no host names below it.
  bool is_local_or_ip() const;
};

/// Reads an http or https URL of at most 8 KiB. Refused: user names, white space and control characters, fragments,
/// hosts with other characters than letters, digits, '-', '_' and '.', empty labels, and numbers that resolvers read as
/// an IPv4 address although they are not written as one ("127.1", "0x7f000001", "2130706433").
/// Errors: invalid_argument; the message does not repeat the URL.
result<endpoint> parse_url(std::string_view url);

/// As parse_url, but for an endpoint option: neither query nor user name, and the target without a trailing '/'.
result<endpoint> parse_endpoint(std::string_view url);

}  // namespace evp::storage
