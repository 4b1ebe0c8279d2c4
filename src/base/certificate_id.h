// One short name for a certificate, by which it can be revoked: who issued it, and its serial number.
#pragma once

#include <openssl/types.h>

#include <string>

namespace evp {

inline constexpr std::size_t certificate_id_bytes = 32;
/// Of a list, of the backend and of a broker, which keeps them in 70 MB.
inline constexpr std::size_t max_revoked_certificates = 1'000'000;

/// SHA-256 of the issuer's name and the serial number, 32 raw bytes: the pair that identifies a certificate (RFC 5280,
/// 4.1.2.2). The name counts as RFC 5280, 7.1 compares names: its encoding, the case of ASCII letters and the number of
/// spaces do not matter. Empty: the name cannot be read. Any thread.
std::string certificate_id(const X509_NAME* issuer, const ASN1_INTEGER* serial);
/// The same of a certificate.
std::string certificate_id(const X509* certificate);

}  // namespace evp
