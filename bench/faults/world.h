// The real programs that are harmed, and the ways to harm and mend each.
#pragma once

#include <memory>
#include <optional>

#include "objects.h"
#include "relay.h"
#include "rest.h"
#include "schedule.h"

namespace evp::bench {

/// Names of what the system holds for a run beside files, so that whoever cleans up finds it.
struct place {
  io::fs::path folder;
  int number = 0;  ///< of the run: no two at once have the same
  io::fs::path device() const { return folder / "device"; }
  std::string network() const { return "evp-faults-" + std::to_string(number); }
  std::string link() const { return "evpf" + std::to_string(number % 100'000); }
};

/// Storage, backend with its broker, runtime with its module, and the relays between them. One thread.
class world {
 public:
  /// Ends the program, with what to install, where something is missing.
  world(const place& p, std::uint64_t seed);
  ~world();

  /// With root: the device has a network namespace and a small disk of its own.
  bool is_root() const noexcept { return is_root_; }
  /// Starts backend and runtime, with the module and its order.
  void start_device(const std::string& order, const io::fs::path& records);
  /// From now on the storage misbehaves a little, all the time.
  void rage();
  /// False where there is nothing to harm at the moment.
  bool begin(fault what);
  void end(fault what);
  /// Mends everything.
  void calm();
  /// Does what a supervisor does: looks who runs, starts who should. To be called often.
  void tick();
  /// How often something ended that nobody had killed.
  unsigned ended_by_itself() const noexcept { return ended_by_itself_; }
  /// Ends the runtime and the backend, as an operator does.
  void stop_device();

  rest api();
  weather& sky() noexcept { return sky_; }
  const storage_access& storage() const noexcept { return storage_; }
  std::string storage_relay() const { return storage_relay_->authority(); }
  /// The command as a process on the device's network.
  std::vector<std::string> on_device(std::vector<std::string> command) const;

 private:
  void start_storage();
  void start_gateway();
  void start_backend();
  void start_runtime();
  void make_network();
  void link(bool is_up);
  bool fill_disk();

  place place_;
  bool is_root_;
  io::fs::path bin_;
  weather sky_;
  std::string device_host_ = "127.0.0.1";  ///< where the device finds the relays
  storage_access storage_;
  std::uint16_t gateway_port_ = 0;
  std::unique_ptr<relay> storage_relay_, rest_relay_, mqtt_relay_;
  std::unique_ptr<program> gateway_, backend_, runtime_;
  std::array<bool, fault_names.size()> active_{};
  bool backend_ready_ = false;
  environment runtime_settings_;
  unsigned ended_by_itself_ = 0;
};

/// Ends every program below this process and gives back what the place holds, but for logs and records where those are
/// to be kept. For the process that outlives a world.
void clean_up(const place& p, bool keep_logs);

}  // namespace evp::bench
