// JSON as text, for code that must not include Boost.JSON: it is expensive to compile.
#pragma once

#include <string>
#include <string_view>

namespace evp::wire {

/// A complete JSON text as every decoder here demands it: UTF-8, at most 32 levels, no duplicate keys, at most
/// max_message_bytes.
bool is_json(std::string_view text);
/// The JSON string, with its quotes, for UTF-8 text.
std::string json_quote(std::string_view text);

}  // namespace evp::wire
