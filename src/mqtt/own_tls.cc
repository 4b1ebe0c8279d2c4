#include "mqtt/own_tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

namespace evp::mqtt {

tls_context make_tls_context(const std::string& host) {
  tls_context out(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!out) return out;
  SSL_CTX_set_min_proto_version(out.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(out.get(), SSL_VERIFY_PEER, nullptr);
  // libmosquitto writes the rest of a packet from another address.
  SSL_CTX_set_mode(out.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  auto* expected = SSL_CTX_get0_param(out.get());
  const bool is_named = X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) == 1 ||
                        X509_VERIFY_PARAM_set1_host(expected, host.data(), host.size()) == 1;
  ERR_clear_error();
  return is_named ? std::move(out) : tls_context(nullptr, SSL_CTX_free);
}

result<void> load_into(SSL_CTX* context, const tls_options& t) {
  const auto failed = [](std::string why) {
    ERR_clear_error();
    return fail(errc::failed_precondition, std::move(why));
  };
  const char* ca = t.ca_file.empty() ? nullptr : t.ca_file.c_str();
  if (SSL_CTX_load_verify_locations(context, ca, ca ? nullptr : "/etc/ssl/certs") != 1)
    return failed("the CA file cannot be read");
  if (SSL_CTX_use_certificate_chain_file(context, t.cert_file.c_str()) != 1)
    return failed("the certificate cannot be read");
  if (SSL_CTX_use_PrivateKey(context, t.key->native()) != 1)
    return failed("the certificate is of another key than the token's");
  return {};
}

}  // namespace evp::mqtt
