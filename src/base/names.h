// What names of devices, module instances, storages and stored objects may look like: one rule set, used everywhere.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace evp {

/// Device ids, module instance names, module ids, storage names, tokens of paths and topics: 1 to 64 characters from
/// A-Z a-z 0-9 - . _ , beginning with a letter or a digit. So they are safe as an MQTT topic level, a path segment,
/// a URL path segment and a file name. `what` names the thing in the message. Errors: invalid_argument.
result<void> check_name(std::string_view name, std::string_view what);

/// Names of objects as devices give them: 1 to 1,000 bytes of UTF-8, segments divided by '/'. Refused: empty, "." and
/// ".." segments (so also a leading or trailing '/' and "//"), backslash and control characters: HTTP stacks rewrite
/// them, and then another object is meant than the one that was signed. Anything else is allowed and percent-encoded.
/// Errors: invalid_argument.
result<void> check_object_name(std::string_view name);

}  // namespace evp
