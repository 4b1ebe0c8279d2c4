// Fills in where modules of a manifest come from, leaving everything else in it as the user wrote it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace evp::wire {

struct module_source {
  secret url;
  std::string sha256;  ///< 64 lower-case hexadecimal digits
};

/// A manifest that runs nothing: what a device is told that has no deployment.
inline constexpr std::string_view empty_manifest = R"({"deploymentId":"","instanceSpecs":{},"modules":{}})";

/// Sets downloadUrl and hash of each module of the manifest (JSON text) that is in `sources`, keyed by module id.
/// The result holds signed URLs. Errors: invalid_argument (no manifest).
result<secret> insert_module_sources(std::string_view manifest, const std::map<std::string, module_source>& sources);

}  // namespace evp::wire
