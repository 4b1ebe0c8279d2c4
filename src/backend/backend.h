// The backend as one struct: its use cases, wired, loaded, started and stopped.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/commands.h"
#include "backend/deployments.h"
#include "backend/devices.h"
#include "backend/gateway.h"
#include "backend/grants.h"
#include "backend/hook_deliveries.h"
#include "backend/ledger.h"
#include "backend/modules.h"
#include "backend/sealing.h"
#include "backend/services.h"
#include "backend/states.h"
#include "backend/upload_watch.h"

namespace evp::backend {

struct backend_options {
  io::fs::path data_dir;        ///< made with mode 0700 if missing; holds master.key, backend.db, modules/, local/
  std::string database_url;     ///< empty: "sqlite://<data_dir>/backend.db"
  std::string public_base_url;  ///< where devices reach module files: "https://backend.example:8443"
  std::string local_base_url;   ///< where devices reach the LOCAL store; empty: public_base_url
  std::function<io::task<result<std::string>>(std::string endpoint)> check_endpoint;  ///< see services_context
  grant_limits limits;
  std::span<const storage::driver_type> driver_types;          ///< on offer; empty: storage::driver_types()
  http::transport* metadata = nullptr;                         ///< see storage::driver_context; outlives the backend
  auth::token_folders token_folders;                           ///< where token files of workload identities may lie
  std::function<std::string(const hook_message&)> write_hook;  ///< the body of a delivery, as JSON
  delivery_limits deliveries;
  milliseconds ledger_retention = std::chrono::days(90);  ///< see ledger::forget
};

/// Confined to its executor. Order: open, then set_gateway, then start; stop before destruction.
class backend {
 public:
  /// Opens data folder, master key and database, and makes what is missing. Blocks for the disk. `transport` (guarded)
  /// and `clock` outlive the backend. Errors: sealer::open's, database::open's, errno's.
  static result<std::unique_ptr<backend>> open(io::executor ex, http::transport& transport, const io::clock& clock,
                                               backend_options options);
  ~backend();

  /// Where pushes, commands and credentials go. Before start(); null while there is no broker.
  void set_gateway(device_gateway* gateway);
  /// Reads everything into memory and starts the background work (sweeper, deliveries, retention, write-behind).
  /// Errors: the database's, data_corrupt (another master key).
  io::task<result<void>> start();
  /// Ends the streams of changes, so that their connections end too. Before the server that serves them stops.
  void end_watches();
  /// Ends the background work and writes what is left to write.
  io::task<void> stop();

  /// Where the LOCAL store keeps its objects, and the key its URLs are signed with: for the store's own routes.
  const io::fs::path& local_root() const noexcept;
  const secret& local_signing_key() const noexcept;

  /// Removes the device with all that belongs to it. Errors: devices::remove's.
  io::task<result<device_change>> remove_device(std::string id);

  struct blocked_device {
    device_change change;
    live_grants grants;  ///< what it still holds; nothing new leaves once it is blocked
  };
  /// Blocks the device, then counts. Errors: devices::block's.
  io::task<result<blocked_device>> block_device(std::string id);

 private:
  struct parts;
  explicit backend(std::unique_ptr<parts> p);
  std::unique_ptr<parts> parts_;  // before the references below

 public:
  backend_options options;
  class services& services;
  class devices& devices;
  class ledger& ledger;
  class grants& grants;
  class modules& modules;
  class states& states;
  class deployments& deployments;
  class commands& commands;
  upload_watches& watches;
  class hooks& hooks;
  sql::database& database;
};

}  // namespace evp::backend
