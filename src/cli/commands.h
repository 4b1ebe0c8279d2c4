// The commands of evpctl as a table: what each sends, and how its answer is shown.
#pragma once

#include <span>
#include <string_view>

namespace evp::cli {

/// What goes into the request's body.
enum class body_kind {
  none,
  service,          ///< --file, or --type, --name, --set, --set-file, --header
  file,             ///< the bytes of --file (or standard input) as they are
  upload,           ///< the file of the positional FILE, streamed
  tenant,           ///< {"id": the positional TENANT}
  api_key,          ///< {"name": the positional NAME, "role": --role, "expirationDuration": --expires}
  enrolment_token,  ///< {"device": the optional positional DEVICE, "uses": --uses, "expirationDuration": --expires,
                    ///< "group": --group}
  device,           ///< {"id": the optional positional ID, "group": --group}
  membership,       ///< {"group": the optional positional GROUP}
  group,            ///< {"description": --description}
  policy,           ///< --file, and policy_flags()
  value,            ///< {"value": the positional VALUE, or --file}
  hook,             ///< --file, or --url, --secret-file, --certificate-file, --services, --states
  provider_change,  ///< --to, --percent, --shadow, "fallBack": --error-percent, --minimum, --window
  parameters,       ///< {"params": the optional positional PARAMS, or --file; "timeLimit": --time-limit}
};

/// Answers that are not read whole before they are shown.
enum class stream_kind {
  none,
  events,  ///< of a state's changes, shown as they come; --after goes on from one
  lines,   ///< written as they are
  chain,   ///< the lines of an audit, from the backend or --file, verified
};

struct column {
  std::string_view field;  ///< of the answer's objects
  std::string_view title;
};

/// Sent as "<name>=true".
struct query_flag {
  std::string_view name, help;
};

struct command {
  std::string_view group, verb;
  std::string_view help;
  std::string_view method;
  std::string_view path;  ///< {name}: a positional argument; {name...}: one that may hold slashes
  body_kind body = body_kind::none;
  std::span<const std::string_view> query = {};  ///< flags that become query parameters
  std::string_view list = {};                    ///< the answer's array, for a table
  std::span<const column> columns = {};          ///< of the table
  stream_kind stream = stream_kind::none;
  std::span<const query_flag> flags = {};
};

std::span<const command> commands();

/// A flag that becomes a field of a policy.
struct policy_flag {
  enum class kind { text, number, list };
  std::string_view flag, field;
  kind what;
  std::string_view help;
};
std::span<const policy_flag> policy_flags();
/// The groups in order, with their help.
struct group {
  std::string_view name, help;
};
std::span<const group> groups();

}  // namespace evp::cli
