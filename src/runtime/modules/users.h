// Folders and users of instances: the owner of an instance's workspace is the record of its user.
#pragma once

#include <sys/types.h>

#include "runtime/modules/options.h"

namespace evp::runtime {

struct instance_place {
  std::string folder, workspace, socket;
  uid_t user = 0;  ///< also the gid; without separate users the runtime's own
};

/// Makes <data>/modules and <data>/instances so that instances can pass through, but see nothing.
result<void> prepare_data_folder(const instances_options& o);
/// The instance's folders, made where they lack; its user is the one that owns its workspace, else the lowest of the
/// range that owns no workspace here. Errors: too_large (no user left), failed_precondition (something is in the way).
result<instance_place> place_instance(const instances_options& o, const std::string& name);
/// Removes the instance with its workspace. Its processes must have gone.
void remove_instance(const instances_options& o, const std::string& name);
/// The instances that have a folder.
std::vector<std::string> placed_instances(const instances_options& o);

}  // namespace evp::runtime
