// nginx's secure_link: an MD5 over expiry, path, method and a secret that the server's configuration shares.
//
// https://nginx.org/en/docs/http/ngx_http_secure_link_module.html, configured so:
//   secure_link $arg_md5,$arg_expires;
//   secure_link_md5 "$secure_link_expires$uri$request_method <secret>";
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"
#include "base/time.h"

namespace evp::auth {

/// The URL. `path` is decoded, as nginx's $uri is: nginx merges "//" and resolves "..", so names must not hold them.
/// Use a long random secret word: MD5 leaves little room. Pure.
secret sign_secure_link(const secret& secret_word, std::string_view method, std::string_view origin,
                        std::string_view path, timestamp expires_at);

}  // namespace evp::auth
