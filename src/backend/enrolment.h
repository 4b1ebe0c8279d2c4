// Enrolment: how a device gets a certificate by a token that was made for it, and becomes a device by that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/devices.h"
#include "backend/revocations.h"
#include "base/x509.h"
#include "sql/enrolment_store.h"

namespace evp::backend {

struct enrolment_token {
  std::string id;
  std::optional<std::string> device;  ///< scoped; nothing: any device of the tenant that is not there yet
  std::uint64_t uses_left = 1;
  timestamp created_at, expires_at;
  std::string group;  ///< in which its new devices begin, scoped; empty: none
};

struct created_enrolment_token {
  enrolment_token token;
  secret text;  ///< shown once: only its SHA-256 is kept
};

struct enrolled_device {
  std::string device;  ///< scoped: the certificate's common name, and the user name at the broker
  issued_certificate certificate;
};

struct revoked_device_certificate {
  sql::certificate_row certificate;
  std::optional<error> broker;  ///< set: the broker could not be told yet; it will be when it is back
};

/// Confined to its executor.
class enrolment {
 public:
  static constexpr std::size_t max_tokens = 10'000;
  static constexpr std::uint64_t max_uses = 100'000;  ///< of a fleet's token
  static constexpr milliseconds min_token_lifetime{60'000}, max_token_lifetime = std::chrono::days(366);
  static constexpr milliseconds default_token_lifetime = std::chrono::days(1);
  static constexpr std::size_t max_certificates = 16;  ///< of a device that are good: each answer that was lost is one
  static constexpr std::string_view authority_name = "OpenEVP devices";  ///< the common name of who issues
  static constexpr milliseconds certificate_lifetime = std::chrono::days(365);

  static constexpr std::size_t max_listed = 128;  ///< the same with those that are revoked

  enrolment(sql::database& db, devices& d, revocations& r, const io::clock& clock)
      : db_(db), devices_(d), revocations_(r), clock_(clock) {}
  /// Before anything below but tokens.
  void set_authority(certificate_authority ca) { authority_ = std::move(ca); }
  bool has_authority() const noexcept { return authority_.has_value(); }
  /// PEM: who issues devices' certificates. Empty: nobody here.
  std::string authority_certificate() const { return authority_ ? authority_->certificate() : std::string(); }

  /// For one device (its local name; it may exist already, and enrols anew then) or, without one, for so many that do
  /// not exist yet. Errors: invalid_argument at "device", "uses" or "expirationDuration", too_large (max_tokens),
  /// failed_precondition (this backend has no authority), not_found at "group" (there is none of that scoped name), the
  /// database's. Devices that exist already stay in their group.
  io::task<result<created_enrolment_token>> create_token(std::string tenant, std::optional<std::string> device,
                                                         std::uint64_t uses, milliseconds lifetime,
                                                         origin by = origin(), std::string group = {});
  io::task<result<std::vector<enrolment_token>>> list_tokens(std::string tenant);
  /// Errors: not_found (also of another tenant).
  io::task<result<void>> remove_token(std::string tenant, std::string id, origin by = origin());

  /// Issues a certificate for the key of the request. Who it is for is the token's to say: the request's subject says
  /// nothing. With a fleet's token the device may propose its name, which must not exist yet; without one it is given
  /// one. The same token with the same key again gives a certificate for the same device and counts once: the answer
  /// may have been lost. Errors: unauthenticated (no such token, or used up, or expired), invalid_argument at "csr"
  /// (also: a certificate for that key was revoked) or "id", already_exists at "id", rate_limited (max_certificates),
  /// failed_precondition (no authority here), the database's.
  io::task<result<enrolled_device>> enrol(secret token, std::string csr, std::optional<std::string> id,
                                          origin by = origin());

  /// Issues another certificate for the device of one that is good, to who has that one's key: `signature` is by it
  /// over the text of the request (SHA-256, base64). The device is active, and the certificate one of those that it was
  /// issued here. Errors: unauthenticated, permission_denied (the device is blocked or the certificate revoked),
  /// invalid_argument at "csr", failed_precondition (no authority here), the database's.
  io::task<result<enrolled_device>> renew(std::string certificate, std::string csr, std::string signature,
                                          origin by = origin());
  /// The same for who has shown the certificate (DER) in a TLS handshake. Errors: renew()'s.
  io::task<result<enrolled_device>> renew_shown(std::string certificate, std::string csr, origin by = origin());

  /// From when this returns the certificate neither connects nor renews, its key gets no other, and the session that
  /// was begun with it ends. Idempotent. Errors: not_found (of this device), failed_precondition (no authority here),
  /// too_large (max_revoked_certificates), the database's.
  io::task<result<revoked_device_certificate>> revoke(std::string device, std::string serial, origin by = origin());
  /// In the transaction that removes the device, before its rows go: revokes what it has, so that another of that name
  /// is not let in by it, and adds the ids to the list, as revocations::refresh() takes them. Errors: too_large.
  std::function<result<void>(sql::connection&)> revoke_all_of(std::string device,
                                                              std::shared_ptr<std::set<std::string>> ids) const;

  /// Certificates that the device was issued here, newest first.
  io::task<result<std::vector<sql::certificate_row>>> certificates(std::string device);

 private:
  struct order;
  io::task<result<enrolled_device>> renew_for(certificate_authority::holder who, std::string csr, origin by);
  sql::database& db_;
  devices& devices_;
  revocations& revocations_;
  const io::clock& clock_;
  std::optional<certificate_authority> authority_;
};

}  // namespace evp::backend
