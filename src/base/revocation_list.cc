#include "base/revocation_list.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <vector>

#include "base/certificate_id.h"
#include "base/freed.h"
#include "base/pem.h"

namespace evp {
namespace {

using crl_ptr = std::unique_ptr<X509_CRL, freed<X509_CRL_free>>;

constexpr std::size_t max_issuers = 1000;

tl::unexpected<error> refused(std::string why) {
  ERR_clear_error();
  return fail(errc::invalid_argument, std::move(why));
}

result<crl_ptr> read(std::string_view bytes) {
  if (bytes.size() > revocation_list::max_bytes) return fail(errc::too_large, "it has more than 64 MiB");
  crl_ptr out;
  if (bytes.find("-----BEGIN") != bytes.npos) {
    const auto in = pem::reader_of(bytes);
    out.reset(PEM_read_bio_X509_CRL(in.get(), nullptr, pem::no_password, nullptr));
    const crl_ptr second(out ? PEM_read_bio_X509_CRL(in.get(), nullptr, pem::no_password, nullptr) : nullptr);
    if (second) return refused("it has several lists: give each a file of its own");
  } else {
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
    out.reset(d2i_X509_CRL(nullptr, &at, long(bytes.size())));
  }
  if (!out) return refused("it is no certificate revocation list (PEM or DER)");
  ERR_clear_error();
  return out;
}

bool may_sign_lists(X509* issuer) { return (X509_get_key_usage(issuer) & KU_CRL_SIGN) != 0; }

result<void> check_signature(X509_CRL* list, std::string_view issuers) {
  const auto in = pem::reader_of(issuers);
  bool is_named = false;
  for (std::size_t i = 0; i < max_issuers; ++i) {
    const std::unique_ptr<X509, freed<X509_free>> one(PEM_read_bio_X509(in.get(), nullptr, pem::no_password, nullptr));
    if (!one) break;
    if (X509_NAME_cmp(X509_get_subject_name(one.get()), X509_CRL_get_issuer(list)) != 0) continue;
    is_named = true;
    if (!may_sign_lists(one.get())) continue;
    if (X509_CRL_verify(list, X509_get0_pubkey(one.get())) == 1) return {};
  }
  if (is_named) return refused("its signature is not that of its issuer, or the issuer may sign no lists (keyUsage)");
  return refused("its issuer is none of those whose certificates devices may show");
}

/// What changes the meaning of the whole list.
result<void> check_extensions(const X509_CRL* list) {
  for (int i = 0; i < X509_CRL_get_ext_count(list); ++i) {
    auto* e = X509_CRL_get_ext(list, i);
    const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
    if (nid == NID_delta_crl) return refused("it has changes only (a delta CRL): give the complete list");
    const bool is_known =
        nid == NID_issuing_distribution_point || nid == NID_authority_key_identifier || nid == NID_crl_number;
    if (X509_EXTENSION_get_critical(e) && !is_known) return refused("it has a critical extension that is not known");
  }
  int critical = 0;
  const std::unique_ptr<ISSUING_DIST_POINT, freed<ISSUING_DIST_POINT_free>> point(
      static_cast<ISSUING_DIST_POINT*>(X509_CRL_get_ext_d2i(list, NID_issuing_distribution_point, &critical, nullptr)));
  if (!point && critical != -1) return refused("its issuing distribution point cannot be read, or is there twice");
  if (point && (point->indirectCRL > 0 || point->onlyattr > 0))
    return refused("it is for certificates of other issuers, or no devices' (an indirect CRL)");
  ERR_clear_error();
  return {};
}

result<void> check_entry(const X509_REVOKED* entry) {
  for (int i = 0; i < X509_REVOKED_get_ext_count(entry); ++i)
    if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, i)))
      return refused("an entry has a critical extension that is not known");
  return {};
}

std::optional<timestamp> time_of(const ASN1_TIME* at) {
  std::tm parts{};
  if (!at || ASN1_TIME_to_tm(at, &parts) != 1) return std::nullopt;
  return timestamp(seconds(::timegm(&parts)));
}

std::string text_of(const X509_NAME* name) {
  const auto out = pem::writer();
  if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return "?";
  return pem::text_of(out);
}

}  // namespace

result<revocation_list> revocation_list::parse(std::string_view bytes, std::string_view issuers) {
  TRY(const auto list, read(bytes));
  CHECK(check_signature(list.get(), issuers));
  CHECK(check_extensions(list.get()));
  revocation_list out;
  const auto* issuer = X509_CRL_get_issuer(list.get());
  out.issuer = text_of(issuer);
  const auto made = time_of(X509_CRL_get0_lastUpdate(list.get()));
  if (!made) return refused("it does not say when it was made");
  out.this_update = *made;
  out.next_update = time_of(X509_CRL_get0_nextUpdate(list.get()));
  auto* entries = X509_CRL_get_REVOKED(list.get());
  const int count = entries ? sk_X509_REVOKED_num(entries) : 0;
  if (std::size_t(count) > max_revoked_certificates)
    return fail(errc::too_large,
                "it has more entries than the " + std::to_string(max_revoked_certificates) + " that are kept");
  for (int i = 0; i < count; ++i) {
    const auto* entry = sk_X509_REVOKED_value(entries, i);
    CHECK(check_entry(entry));
    auto id = certificate_id(issuer, X509_REVOKED_get0_serialNumber(entry));
    if (id.empty()) return refused("its issuer's name cannot be read");
    out.ids.insert(std::move(id));
  }
  ERR_clear_error();
  return out;
}

}  // namespace evp
