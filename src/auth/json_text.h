// JSON strings as JSON.stringify writes them: policies are signed as text, so their form is part of the signature.
#pragma once

#include <string>
#include <string_view>

namespace evp::auth {

/// The text (UTF-8) in quotes; with escape_beyond_ascii letters beyond ASCII become \uXXXX.
std::string json_quoted(std::string_view text, bool escape_beyond_ascii = false);

}  // namespace evp::auth
