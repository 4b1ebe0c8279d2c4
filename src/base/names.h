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

/// Tenants share one space of names: what tenant "acme" calls "cam-1" is known everywhere inside as "acme:cam-1", what
/// the installation's own tenant calls so as "cam-1". No name holds the separator, so no name that a user gives can mean
/// another tenant's.
inline constexpr char tenant_separator = ':';
/// What scoped_name() may give. Errors: invalid_argument, of check_name.
result<void> check_scoped_name(std::string_view name, std::string_view what);
/// `tenant`: empty for the installation's own. Only what may not stand in `name` at all is refused here, the rest is
/// check_scoped_name's. Errors: invalid_argument (the name holds the separator).
result<std::string> scoped_name(std::string_view tenant, std::string_view name);
/// Both at once, for the name of something new. Errors: invalid_argument.
result<std::string> new_scoped_name(std::string_view tenant, std::string_view name, std::string_view what);
/// "acme" of "acme:cam-1", empty of "cam-1".
std::string_view tenant_of(std::string_view scoped) noexcept;
/// "cam-1" of both.
std::string_view local_name(std::string_view scoped) noexcept;

/// Names of objects as devices give them: 1 to 1,000 bytes of UTF-8, segments divided by '/'. Refused: empty, "." and
/// ".." segments (so also a leading or trailing '/' and "//"), backslash and control characters: HTTP stacks rewrite
/// them, and then another object is meant than the one that was signed. Anything else is allowed and percent-encoded.
/// Errors: invalid_argument.
result<void> check_object_name(std::string_view name);

}  // namespace evp
