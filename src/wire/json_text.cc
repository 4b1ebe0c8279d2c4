#include "wire/json_text.h"

#include <boost/json/serialize.hpp>

#include "wire/json.h"
#include "wire/messages.h"

namespace evp::wire {

bool is_json(std::string_view text) { return parse_json(text, max_message_bytes).has_value(); }

std::string json_quote(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

}  // namespace evp::wire
