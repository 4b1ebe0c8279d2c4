// A device's key on a PKCS #11 token: where it lies, and how it is opened. It is used there and never leaves it.
#pragma once

#include "base/device_key.h"

namespace evp {

/// What a PKCS #11 URI says (RFC 7512).
struct token_place {
  std::string uri;       ///< which key, without what comes after '?': fit for logs
  std::string token;     ///< the token's label; empty: not named
  std::string object;    ///< the key's label; empty: it is named by its id
  std::string pin_file;  ///< pin-source; empty: the token wants no PIN
  std::string module;    ///< module-path; empty: PKCS11_MODULE_PATH says it, or else what p11-kit knows
};

/// Of "pkcs11:token=t;object=o?pin-source=file:/etc/pin&module-path=/usr/lib/m.so". Errors: invalid_argument (no such
/// URI; neither object nor id; a PIN in the URI itself). None repeats a PIN.
result<token_place> parse_token_uri(std::string_view text);

/// By OpenSSL's engine "pkcs11", which is loaded now. Logs in once: tokens count wrong PINs. A process opens one place
/// in its life. Blocks. Errors: invalid_argument (the PIN is wrong or locked), failed_precondition (no engine, no
/// module), not_found (no such token or key; says how one is made), unavailable.
result<device_key> open_token_key(const token_place& place, const secret& pin);

}  // namespace evp
