// The device daemon as a whole: its parts made, joined, started and stopped in the right order.
#pragma once

#include <memory>

#include "http/client.h"
#include "runtime/certificates.h"
#include "runtime/hub_session.h"
#include "runtime/identity.h"
#include "runtime/modules/supervisor.h"
#include "runtime/status_server.h"
#include "runtime/upload/uploader.h"
#include "runtime/workspace_files.h"

namespace evp::runtime {

struct runtime_options {
  io::fs::path data_directory = "/evp_data";
  mqtt::options broker;
  hub_session_options hub;
  upload::uploader_options uploads;
  std::optional<identity_options> identity;  ///< of a device that enrolled: its certificate is renewed
  instances_options modules;                 ///< data, ca_pem and via are taken from the above
};

/// Confined to its executor, which one thread runs.
class daemon {
 public:
  daemon(io::executor ex, runtime_options options);
  ~daemon();
  /// Takes the data directory for itself and starts. Errors: failed_precondition (another runtime uses the data
  /// directory), by errno.
  result<void> start();
  /// Ends modules (which have their own bound), transfers and the connection (within `grace`), in this order. Start and
  /// stop work once.
  io::task<void> stop(milliseconds grace);

 private:
  result<void> lock_data_directory();
  std::string status() const;

  io::executor ex_;
  runtime_options options_;
  io::unique_fd lock_;
  io::system_clock clock_;
  io::pool disk_{1};
  http::client http_;
  certificate_store certificates_;
  twin_store twins_;
  hub_session hub_;
  workspace_files files_;
  std::unique_ptr<upload::uploader> uploader_;
  std::unique_ptr<supervisor> modules_;
  status_server status_;
  steady_time began_{};
  std::optional<device_identity> identity_;
  io::group background_;
};

}  // namespace evp::runtime
