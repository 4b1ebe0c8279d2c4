// Uploads as a form (RFC 7578): text around the file's bytes, so that a device which knows no vendor can send them.
#pragma once

#include <string_view>

#include "auth/post_policy.h"
#include "storage/driver.h"

namespace evp::storage {

/// The request that posts these fields and then the file to `url`; 200, 201 and 204 are success. With `open_key` the
/// grant is one for many names: the value of the field "key" is left open (signed_request::slot). Errors:
/// invalid_argument (the text around the file is longer than a grant may carry).
result<signed_request> form_request(secret url, const auth::post_form& fields, bool open_key = false,
                                    std::string_view file_type = "application/octet-stream");

}  // namespace evp::storage
