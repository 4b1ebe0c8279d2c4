// Hex, base64, percent-encoding, UTF-8: strict readers, canonical writers.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace evp {

/// Lower-case hexadecimal of the bytes.
std::string to_hex(std::string_view bytes);
/// Errors: invalid_argument (odd length or a character that is no hexadecimal digit).
result<std::string> from_hex(std::string_view text);

/// Standard alphabet with padding (RFC 4648, 4).
std::string to_base64(std::string_view bytes);
/// Alphabet with '-' and '_', without padding (RFC 4648, 5).
std::string to_base64url(std::string_view bytes);
/// The same with padding, as Qiniu and Swift want it.
std::string to_base64url_padded(std::string_view bytes);
/// Strict: standard alphabet, padding present, no white space, no stray bits. Errors: invalid_argument.
result<std::string> from_base64(std::string_view text);

/// Percent-encodes each byte but A-Z a-z 0-9 - . _ ~ (RFC 3986, 2.3), upper-case hex; with keep_slash '/' stays too.
/// This is the encoding of S3, GCS, OSS and OBS object paths.
std::string percent_encode(std::string_view text, bool keep_slash = false);
/// The same, at the end of `out`.
void append_percent_encoded(std::string& out, std::string_view text, bool keep_slash = false);
/// Errors: invalid_argument ('%' without two hexadecimal digits). '+' stays '+'.
result<std::string> percent_decode(std::string_view text);

/// ASCII letters in lower case, all else as it is.
std::string to_lower(std::string_view text);
/// Without spaces and tabs at its ends.
std::string_view trim(std::string_view text);

/// Well-formed UTF-8 without surrogates or overlong forms (RFC 3629).
bool is_utf8(std::string_view text) noexcept;
/// Holds a byte below 0x20 or 0x7f.
bool has_control_characters(std::string_view text) noexcept;

}  // namespace evp
