// The backend as one struct: its use cases, wired, loaded, started and stopped.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/access.h"
#include "backend/audit.h"
#include "backend/blocks.h"
#include "backend/commands.h"
#include "backend/deployments.h"
#include "backend/device_groups.h"
#include "backend/devices.h"
#include "backend/enrolment.h"
#include "backend/gateway.h"
#include "backend/grants.h"
#include "backend/hook_deliveries.h"
#include "backend/key_rotation.h"
#include "backend/ledger.h"
#include "backend/modules.h"
#include "backend/policies.h"
#include "backend/provider_changes.h"
#include "backend/replica.h"
#include "backend/roll_calls.h"
#include "backend/sealing.h"
#include "backend/services.h"
#include "backend/states.h"
#include "backend/upload_watch.h"

namespace evp::backend {

struct backend_options {
  io::fs::path data_dir;  ///< made with mode 0700 if missing; holds master.key, backend.db, modules/, local/
  std::optional<master_key_source> master_key;  ///< nothing: the file <data_dir>/master.key
  std::string database_url;                     ///< empty: "sqlite://<data_dir>/backend.db"
  std::string public_base_url;                  ///< where devices reach module files: "https://backend.example:8443"
  std::string local_base_url;                   ///< where devices reach the LOCAL store; empty: public_base_url
  std::function<io::task<result<std::string>>(std::string endpoint)> check_endpoint;  ///< see services_context
  grant_limits limits;
  std::span<const storage::driver_type> driver_types;          ///< on offer; empty: storage::driver_types()
  http::transport* metadata = nullptr;                         ///< see storage::driver_context; outlives the backend
  auth::token_folders token_folders;                           ///< where token files of workload identities may lie
  std::function<std::string(const hook_message&)> write_hook;  ///< the body of a delivery, as JSON
  delivery_limits deliveries;
  bool device_authority = false;  ///< issues certificates to devices, by an authority of its own
  milliseconds ledger_retention = std::chrono::days(90);  ///< see ledger::forget
  milliseconds audit_retention = std::chrono::days(365);  ///< see audit::truncate
};

/// Confined to its executor. Order: open, start, set_gateway; stop before destruction.
class backend {
 public:
  /// Opens data folder, master key and database, and makes what is missing. Blocks for the disk. `transport` (guarded)
  /// and `clock` outlive the backend. Errors: sealer::open's, database::open's, errno's.
  static result<std::unique_ptr<backend>> open(io::executor ex, http::transport& transport, const io::clock& clock,
                                               backend_options options);
  ~backend();

  /// Where pushes, commands and credentials go; null while there is no broker.
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

  /// See backend/key_rotation.h. One at a time: a second call meanwhile is failed_precondition.
  io::task<result<rotated_key>> rotate_master_key(origin by = origin());

  /// Removes the device with all that belongs to it. Errors: devices::remove's.
  io::task<result<device_change>> remove_device(std::string id, origin by = origin());

  /// Removes the group with its policy. Errors: device_groups::remove's.
  io::task<result<void>> remove_group(std::string name, origin by = origin());

  /// Whether this backend does what one of those on the database does for all (replica.h).
  bool leads() const;

 private:
  struct parts;
  io::task<result<void>> apply(std::vector<sql::change_row> changes);
  io::task<result<void>> reload();
  explicit backend(std::unique_ptr<parts> p);
  std::unique_ptr<parts> parts_;  // before the references below

 public:
  backend_options options;
  class access& access;
  class audit& audit;
  class services& services;
  class devices& devices;
  class enrolment& enrolment;
  class revocations& revocations;  ///< backend/revocations.h
  class ledger& ledger;
  class grants& grants;
  class modules& modules;
  class states& states;
  class deployments& deployments;
  class commands& commands;
  upload_watches& watches;
  class hooks& hooks;
  class provider_changes& provider_changes;
  class policies& policies;
  class device_groups& device_groups;
  class blocks& blocks;
  class roll_calls& roll_calls;
  sql::database& database;
};

}  // namespace evp::backend
