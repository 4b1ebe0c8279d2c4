// Everything that runs while evp-bench-upload measures: backend, runtime with a module, and two storages that forget.
#pragma once

#include <memory>
#include <string>

#include "programs.h"
#include "rest.h"
#include "storage_double.h"

namespace evp::bench {

struct workload {
  const char* name;
  const char* storage;  ///< "plain" or "tls"
  int count, outstanding;
  long long bytes;
};

struct timing {
  double seconds = 0;     ///< until the module had all outcomes
  double confirming = 0;  ///< the part of them for which files had been taken and waited for report and HEAD
};

class world {
 public:
  /// The runtime is connected and has no module.
  explicit world(io::fs::path folder);
  /// Gives the device the module that uploads, and waits until it runs.
  void deploy();

  timing ours(const workload& w);
  /// Seconds until the ledger shows all as verified: for what takes longer than a command may.
  double ours_by_ledger(const workload& w, int limit_s);
  /// One curl process with kept-alive connections. The module's own files, so that both read the same page cache.
  cost curl(const workload& w);
  /// The same for one file of ours, in `pieces` that are sent at once.
  cost curl_in_pieces(const workload& w, int pieces);
  /// SHA-256 of the workload's first file, by openssl.
  cost digest(const workload& w);
  /// Queues files for a storage that is out of reach: nothing is sent.
  void queue(int count);
  /// Operations that the runtime holds, as it says.
  std::uint64_t queued() const;
  /// Wakes nobody up: a process that holds a TLS connection open. In kB.
  long idle_curl_pss();

  pid_t runtime_pid() const { return runtime_->pid(); }
  io::fs::path runtime_program() const { return bin_ / "evp-runtime"; }
  io::fs::path device_folder() const { return folder_ / "device"; }

 private:
  http::tls_files files();
  void start_backend();
  void start_runtime();
  json::value run(const workload& w, const char* limit, bool may_fail);
  io::fs::path file(const workload& w, int number) const;
  const storage_double& server(const workload& w) const;

  io::fs::path folder_, bin_;
  storage_double plain_, tls_;
  json::value facts_;
  std::unique_ptr<rest> api_;
  std::unique_ptr<program> backend_, runtime_;
};

}  // namespace evp::bench
