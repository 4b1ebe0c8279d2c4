// What evp-backend makes of its settings before it starts anything: all of it fails with what to do.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "apps/backend_config.h"
#include "backend/master_key.h"
#include "io/files.h"

namespace evp::apps {

/// Makes the folder (0700) if it is not there, and locks it until the process ends: two backends on one folder would
/// each believe its memory. Errors: failed_precondition (another has it), the file system's.
result<io::unique_fd> lock_data(const io::fs::path& data);

/// The broker's plugin: what --broker-plugin names, else beside the program. Errors: not_found.
result<io::fs::path> plugin_path(const backend_config& c);

/// Of the program's own broker, or of those that --broker names. Errors: invalid_argument.
result<std::vector<listen_address>> mqtt_addresses(const backend_config& c);

/// Errors: failed_precondition (neither on loopback, nor TLS, nor --allow-plaintext), naming the flags.
result<void> check_listener(const listen_address& a, bool tls, bool allow_plaintext, std::string_view flag,
                            std::string_view tls_flags);

/// Nothing: the file <data>/master.key. Takes EVP_MASTER_KEY out of the environment, so that no child of the program
/// inherits it. Errors: invalid_argument (more than one is given).
result<std::optional<backend::master_key_source>> master_key_of(const backend_config& c);

}  // namespace evp::apps
