// All module instances of the device: what the deployment wants is made so, and reported as it is.
#pragma once

#include <set>

#include "io/pool.h"
#include "runtime/blobs.h"
#include "runtime/instances.h"
#include "runtime/modules/instance.h"
#include "runtime/modules/options.h"

namespace evp::runtime {

/// Confined to the executor.
class supervisor final : public instances {
 public:
  /// Errors: when the data folder can't be made, or the options contradict each other.
  static result<std::unique_ptr<supervisor>> create(io::executor ex, instances_options o, http::transport& http,
                                                    blobs& transfers);
  ~supervisor() override;
  /// Who takes telemetry and reports; may be null (then telemetry is refused).
  void connect(hub_port* hub) { hub_ = hub; }
  /// Stops every instance as the protocol says and waits for the last. Nothing may be applied afterwards.
  io::task<void> stop();

  void apply(wire::deployment wanted) override;
  void configure(std::map<std::string, std::string> configuration) override;
  result<void> command(const wire::command_request& c, std::function<void(wire::command_response)> done) override;
  deployment_status status() const override;
  std::map<std::string, std::string> states() const override { return states_; }
  void states_sent() override;

  /// The instance's process, 0 when it does not run.
  pid_t pid_of(const std::string& name) const;

 private:
  struct record {
    identity is;
    std::unique_ptr<instance> runs;
    bool stopping = false;
  };
  struct fetch_state {
    std::string hash;  ///< what is being fetched, or failed to be
    std::string failure;
    milliseconds backoff{0};
    steady_time not_before{};
    bool running = false;
  };

  supervisor(io::executor ex, instances_options o, http::transport& http, blobs& transfers);
  io::task<void> look_at_files(std::uint64_t generation);
  io::task<void> fetch(std::string id);
  void turn();
  void start(const std::string& name);
  void stop(const std::string& name);
  void begin_fetch(const std::string& id);
  void clean();
  void changed();
  socket::session_ports ports_of(const std::string& name);
  bool store_state(const std::string& name, const std::string& topic, std::string bytes);
  bool publish(const std::string& name, const std::string& alias, const std::string& bytes);

  io::executor ex_;
  instances_options options_;
  http::transport& http_;
  blobs& transfers_;
  hub_port* hub_ = nullptr;
  io::pool disk_{1};
  io::group tasks_;
  asio::steady_timer all_gone_;
  wire::deployment wanted_;
  bool deployed_ = false, looking_ = false, stopping_ = false;
  std::uint64_t generation_ = 0;
  std::map<std::string, record> actual_;
  module_files files_;
  std::map<std::string, fetch_state> fetches_;
  std::map<std::string, std::string> start_errors_;
  std::map<std::string, std::string> configuration_, states_;
  std::shared_ptr<int> lives_ = std::make_shared<int>(0);  ///< what was posted asks for it
};

}  // namespace evp::runtime
