// Certificates made on the spot for tests: an authority, and servers it vouches for, good, expired or misnamed.
#pragma once

#include <memory>
#include <string>

namespace evp::http {

struct issued {
  std::string certificate_pem;
  std::string key_pem;
};

/// A certificate authority of one test's own.
class test_authority {
 public:
  /// Valid until `to_s` seconds from now.
  explicit test_authority(long to_s = 7200);
  const std::string& pem() const noexcept { return self_.certificate_pem; }
  /// names in OpenSSL's form: "DNS:localhost,IP:127.0.0.1". Valid from `from_s` to `to_s` seconds from now.
  issued issue(const std::string& names, long from_s = -3600, long to_s = 3600) const;

 private:
  issued self_;
};

}  // namespace evp::http
