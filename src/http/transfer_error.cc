// The one place where a libcurl code becomes an error: what went wrong and what to do, never a part of the URL's path.
#include <openssl/x509_vfy.h>

#include "http/transfer.h"

namespace evp::http {
namespace {

std::string explain_certificate(long verdict) {
  switch (verdict) {
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED:  // libcurl's mark for: the chain is good, the name is not
      return "the server's certificate is for another name: use the name in the certificate, or renew it with this one";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "a certificate of the server has expired: renew it, and check this machine's clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "a certificate of the server is not valid yet: check this machine's clock";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "no trusted certificate vouches for the server: configure the certificate of the authority that issued it";
    case X509_V_ERR_CERT_REVOKED: return "a certificate of the server has been revoked: renew it";
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_INVALID_CA:
      return "a certificate of the server may not be used for this: issue it for server authentication";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
      return "a certificate of the server has a key or digest that is too weak: issue a stronger one";
    default: return std::string("the server's certificate was refused: ") + X509_verify_cert_error_string(verdict);
  }
}

}  // namespace

error transfer::explain(CURLcode code) const {
  const auto about = [this](errc c, const std::string& what) { return error(c, host_ + ": " + what); };
  long value = 0;
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
      curl_easy_getinfo(easy_.get(), CURLINFO_SSL_VERIFYRESULT, &value);
      return about(errc::permission_denied, explain_certificate(value));
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return about(errc::permission_denied, "the server's certificate was refused");
    case CURLE_SSL_CACERT_BADFILE: return error(errc::invalid_argument, "holds no usable PEM certificate").at("ca_pem");
    case CURLE_SSL_CONNECT_ERROR:
      return about(errc::unavailable, "the TLS handshake failed: check that the port speaks TLS 1.2 or later");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      // Also libcurl's code for an answer that is no HTTP/1.
      if (connected_) return about(errc::unavailable, "the answer is not HTTP/1.1");
      return error(errc::invalid_argument, "the URL cannot be used").at("url");
    case CURLE_COULDNT_RESOLVE_HOST:
      return about(errc::unavailable, "the host's name could not be resolved: check the name and the DNS");
    case CURLE_COULDNT_RESOLVE_PROXY:
      return error(errc::unavailable, "the proxy's name could not be resolved: check the proxy setting");
    case CURLE_COULDNT_CONNECT:
      return about(errc::unavailable, "no connection: check that it runs and that a firewall lets it through");
    case CURLE_OPERATION_TIMEDOUT:
      return about(errc::deadline_exceeded,
                   connected_ ? "no answer in time"
                              : "no connection within " + format_iso8601_duration(request_.connect_timeout));
    case CURLE_GOT_NOTHING: return about(errc::unavailable, "the connection was closed before an answer came");
    case CURLE_PARTIAL_FILE: return about(errc::unavailable, "the connection was closed in the middle of the answer");
    case CURLE_SEND_ERROR: return about(errc::unavailable, "the connection broke while the request was sent");
    case CURLE_RECV_ERROR:
      curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &value);
      if (request_.via && value == 407)
        return error(errc::permission_denied, "the proxy refused its user name or password (407): correct them");
      if (request_.via && value >= 300)
        return about(errc::unavailable, "the proxy refused to connect (" + std::to_string(value) + ")");
      return about(errc::unavailable, "the connection broke while the answer was read");
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return about(errc::unavailable, "the answer is not HTTP/1.1");
    case CURLE_OUT_OF_MEMORY: return error(errc::unavailable, "out of memory");
    default: return about(errc::unavailable, std::string("the exchange failed: ") + curl_easy_strerror(code));
  }
}

}  // namespace evp::http
