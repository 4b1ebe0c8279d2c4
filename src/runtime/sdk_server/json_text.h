// JSON text that a module gives: checked, never trusted.
#pragma once

#include <string>
#include <string_view>

namespace evp::runtime::socket {

/// A complete JSON text of at most 32 levels in UTF-8.
bool is_json(std::string_view text);
/// The JSON string (with quotes) for UTF-8 text.
std::string json_quote(std::string_view text);

}  // namespace evp::runtime::socket
