// A TLS context of our own for libmosquitto, which takes a client's key from a file alone.
#pragma once

#include <openssl/ssl.h>

#include <memory>

#include "mqtt/client.h"

namespace evp::mqtt {

using tls_context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

/// TLS 1.2 or later; the broker's chain and host name are verified. Null only without memory.
tls_context make_tls_context(const std::string& host);
/// Loads what the options name, again before each attempt: a certificate may have been renewed. `t.key` is set.
/// Errors: failed_precondition (a file cannot be read; the certificate is of another key).
result<void> load_into(SSL_CTX* context, const tls_options& t);

}  // namespace evp::mqtt
