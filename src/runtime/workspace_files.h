// The workspaces of this device's instances as the uploader's files.
#pragma once

#include "runtime/upload/local_files.h"

namespace evp::runtime {

/// <data>/instances/<name>/default_workspace. With `separate_users` only files of the workspace's owner may be read.
class workspace_files final : public upload::local_files {
 public:
  workspace_files(io::fs::path data, bool separate_users) : data_(std::move(data)), separate_users_(separate_users) {}
  upload::errno_result<upload::opened_source> open_source(const std::string& instance,
                                                          const std::string& path) override;
  upload::errno_result<upload::opened_target> open_target(const std::string& instance,
                                                          const std::string& path) override;

 private:
  io::fs::path data_;
  bool separate_users_;
};

}  // namespace evp::runtime
