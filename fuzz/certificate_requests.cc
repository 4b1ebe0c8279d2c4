// Fuzzes what strangers send when they ask for a certificate, and what issuers write: requests, certificates, lists of
// revoked ones. Each is understood or refused, and nothing that nobody has signed is believed.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/certificate_id.h"
#include "base/encoding.h"
#include "base/revocation_list.h"
#include "base/x509.h"

namespace {

using namespace evp;

constexpr timestamp now{seconds(1'795'371'410)};

/// Another one in each run: no input can have been signed by it.
const certificate_authority& authority() {
  static const auto made = certificate_authority::load(certificate_authority::make("OpenEVP devices", now)).value();
  return made;
}

void check_request(std::string_view text) {
  const auto request = signing_request::parse(text);
  if (!request) return;
  if (request->key_sha256().size() != 64) std::abort();
  const auto made = authority().issue(*request, "cam-1", std::chrono::hours(24), now);
  if (!made || made->serial.size() != 32) std::abort();
  // What was issued is by this authority, for that name, and still not proof of having the key.
  if (authority().identify(made->pem, text, text, now)) std::abort();
  const auto id = authority().id_of(made->serial);
  if (!id || id->size() != certificate_id_bytes) std::abort();
  if (!certificate_authority::as_pkcs7(made->pem)) std::abort();
}

void check_certificate(std::string_view text) {
  if (authority().identify(text, text, text, now) || authority().recognize(text, now)) std::abort();
  (void)certificate_authority::as_pkcs7(text);
  if (const auto id = authority().id_of(std::string(text)); id && id->size() != certificate_id_bytes) std::abort();
}

/// The corpus has lists with their issuer in one file: the issuer's certificate is the one before the list.
void check_list(std::string_view text) {
  const auto at = text.find("-----BEGIN X509 CRL");
  if (at != text.npos) {
    const auto list = revocation_list::parse(text.substr(at), text.substr(0, at));
    if (list && list->ids.size() > 0 && list->ids.begin()->size() != certificate_id_bytes) std::abort();
  }
  if (revocation_list::parse(text, authority().certificate())) std::abort();  // nobody can sign
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_request(text);
  check_certificate(text);
  check_list(text);
  if (const auto der = from_base64(text)) {
    if (authority().recognize(*der, now)) std::abort();
    if (revocation_list::parse(*der, authority().certificate())) std::abort();
  }
  return 0;
}
