// One instance: its process is started, watched, restarted with back-off, and stopped as the protocol says.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include "runtime/modules/process.h"
#include "runtime/modules/reconcile.h"
#include "runtime/sdk_server/socket_server.h"

namespace evp::runtime {

namespace asio = boost::asio;

/// Confined to the executor. Destroying it kills the process at once.
class instance {
 public:
  /// `changed` is called when status() has changed.
  instance(io::executor ex, const instances_options& o, std::string file, instance_place place,
           socket::session_ports ports, std::function<void()> changed);
  ~instance();

  /// Exit event, then SIGKILL after the grace; a module that is not on its socket gets SIGTERM at once, as it cannot
  /// be told otherwise. `gone` is called once, later.
  void stop(std::function<void()> gone);
  /// The module's session, or null when its process does not run.
  socket::session* module() const noexcept { return session_.get(); }
  instance_status status() const;
  pid_t pid() const noexcept { return process_ ? process_->pid() : 0; }

 private:
  void start();
  result<void> try_start();
  void ended(std::string how, bool clean);
  void end_life();
  void retry(std::string why);

  io::executor ex_;
  const instances_options& options_;
  std::string file_;
  instance_place place_;
  socket::session_ports ports_;
  std::function<void()> changed_, gone_;
  asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<socket::session> session_;
  std::unique_ptr<socket::socket_server> server_;
  std::unique_ptr<process> process_;
  steady_time started_{};
  milliseconds backoff_{0};
  std::string failure_;
  bool stopping_ = false;
};

}  // namespace evp::runtime
