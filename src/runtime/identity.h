// The device's own identity: a key that never leaves it, and a certificate that it gets by a token and renews.
#pragma once

#include "base/device_key.h"
#include "http/client.h"
#include "io/clock.h"
#include "io/files.h"

namespace evp::runtime {

struct identity_options {
  std::string url;          ///< of the backend's REST API: "https://backend.example:8443"
  io::fs::path token_file;  ///< holds the enrolment token; looked at only while there is no certificate
  std::string id;           ///< the name to propose, where the token leaves it open; empty: the backend chooses
  io::fs::path folder;      ///< for key and certificate, made with mode 0700
  std::string ca_pem;       ///< whom to trust as the backend; empty: the system's
  std::optional<http::proxy> via;
  std::optional<device_key> key;  ///< on a token: no key is made and none is stored; a renewal keeps it
};

/// Key and certificate lie in one file, so that a renewal replaces both at once; of a key on a token the certificate
/// alone. Confined to its executor; `t` and
/// `clock` outlive it.
class device_identity {
 public:
  /// A certificate is renewed when so much of its life is over; tried again each retry_renewal.
  static constexpr double renew_after = 2.0 / 3.0;
  static constexpr milliseconds look_every{3'600'000}, retry_renewal{600'000};
  static constexpr milliseconds first_pause{1'000}, longest_pause{60'000};  ///< between attempts to enrol

  device_identity(http::transport& t, const io::clock& clock, identity_options options)
      : transport_(t), clock_(clock), options_(std::move(options)) {}

  /// PEM, mode 0600: the key unless it is on a token, then the certificate.
  io::fs::path file() const { return options_.folder / "device.pem"; }
  bool exists() const;

  /// One attempt. The key is on the disk before the backend hears of it, so an attempt whose answer was lost can be
  /// made again under the same token. Errors: the backend's (unauthenticated: the token is used up or wrong),
  /// unavailable, those of files, failed_precondition (the certificate that there is belongs to another key).
  io::task<result<void>> enrol();
  /// Until it has succeeded, was cancelled, or the backend has refused for good. Errors: the backend's.
  io::task<result<void>> enrol_with_patience();

  /// Renews if it is time. True: it did. Errors: as enrol.
  io::task<result<bool>> renew_if_due();
  /// Until cancelled.
  io::task<void> renew_forever();

 private:
  io::task<result<std::string>> ask(std::string path, std::string body);
  result<void> check_kept() const;
  result<device_key> key_in(const secret& pem) const;
  result<device_key> key_to_enrol() const;
  result<void> keep(const device_key& key, const std::string& certificate) const;
  io::fs::path pending() const { return options_.folder / "pending.key"; }

  http::transport& transport_;
  const io::clock& clock_;
  identity_options options_;
};

}  // namespace evp::runtime
