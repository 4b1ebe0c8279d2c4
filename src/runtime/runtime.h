// The device daemon as a whole: its parts made, joined, started and stopped in the right order.
#pragma once

#include <functional>
#include <memory>

#include "http/client.h"
#include "runtime/certificates.h"
#include "runtime/hub_session.h"
#include "runtime/upload/uploader.h"

namespace evp::runtime {

struct runtime_options {
  io::fs::path data_directory = "/evp_data";
  mqtt::options broker;
  hub_session_options hub;
  upload::uploader_options uploads;
};

/// The module supervisor as the daemon owns it: instances, and an end that waits for their processes.
class module_supervisor : public instances {
 public:
  /// Tells every instance to exit, waits for at most `grace`, ends the rest. Nothing is called back afterwards.
  virtual io::task<void> stop(milliseconds grace) = 0;
};

/// What a supervisor is made of. Everything outlives it.
struct supervisor_parts {
  io::executor ex;
  const io::clock& clock;
  blobs& files;
  hub_port& hub;
  http::transport& downloads;  ///< of module files
  io::pool& disk;
  io::fs::path data_directory;
  std::string download_ca_pem;  ///< EVP_HTTPS_CA_CERT; empty: the system's
  std::optional<http::proxy> via;
};
using make_supervisor = std::function<std::unique_ptr<module_supervisor>(supervisor_parts)>;

/// Confined to its executor, which one thread runs.
class daemon {
 public:
  daemon(io::executor ex, runtime_options options, make_supervisor make_modules);
  ~daemon();
  /// Takes the data directory for itself and starts. Errors: failed_precondition (another runtime uses the data
  /// directory), by errno.
  result<void> start();
  /// Ends modules, transfers and the connection, in this order. Start and stop work once.
  io::task<void> stop(milliseconds grace);

 private:
  result<void> lock_data_directory();

  io::executor ex_;
  runtime_options options_;
  io::unique_fd lock_;
  io::system_clock clock_;
  io::pool disk_{1};
  http::client http_;
  certificate_store certificates_;
  twin_store twins_;
  hub_session hub_;
  std::unique_ptr<upload::uploader> uploader_;
  make_supervisor make_modules_;
  std::unique_ptr<module_supervisor> modules_;
};

}  // namespace evp::runtime
