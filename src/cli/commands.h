// The commands of evpctl as a table: what each sends, and how its answer is shown.
#pragma once

#include <span>
#include <string_view>

namespace evp::cli {

/// What goes into the request's body.
enum class body_kind {
  none,
  service,     ///< --file, or --type, --name, --set, --set-file, --header
  file,        ///< the bytes of --file (or standard input) as they are
  upload,      ///< the file of the positional FILE, streamed
  device,      ///< {"id": the optional positional ID}
  value,       ///< {"value": the positional VALUE, or --file}
  hook,        ///< --file, or --url, --secret-file, --certificate-file, --services, --states
  parameters,  ///< {"params": the optional positional PARAMS, or --file; "timeLimit": --time-limit}
};

struct column {
  std::string_view field;  ///< of the answer's objects
  std::string_view title;
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
  bool streams = false;  ///< the answer is a stream of events, shown as they come; --after goes on from one
};

std::span<const command> commands();
/// The groups in order, with their help.
struct group {
  std::string_view name, help;
};
std::span<const group> groups();

}  // namespace evp::cli
