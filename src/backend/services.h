// Storage access services: the one thing a user configures to have a storage, and the drivers made of them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "backend/audit.h"
#include "backend/object_names.h"
#include "backend/sealing.h"
#include "backend/verification.h"
#include "io/clock.h"
#include "sql/database.h"
#include "sql/services_store.h"
#include "storage/driver.h"

namespace evp::backend {

/// What uploads to a service are bounded by beside name, method and expiry.
struct service_bounds {
  bool create_only = false;               ///< an object that exists already is not replaced
  std::optional<std::uint64_t> max_size;  ///< bytes
  std::string source_address;             ///< an IP address or network that devices send from; empty: any
};

/// Who refuses what goes beyond a bound.
enum class enforcement {
  storage,  ///< the storage itself, before the object exists
  backend,  ///< the backend, when it checks the upload: the object exists by then
  nobody,
};
std::string_view to_string(enforcement e) noexcept;

/// The body of POST and PUT. Nothing in it has been checked but its JSON types.
struct service_input {
  std::string type;
  std::optional<std::string> name;
  http::headers headers;
  std::string certificate;           ///< PEM; empty: none
  std::string expiration_duration;   ///< ISO 8601; empty: default_expiration
  std::string offline_duration;      ///< ISO 8601; empty: no offline grants
  std::string object_name_template;  ///< empty: the default one
  std::string verify;                ///< empty: "head"
  service_bounds bounds;
  /// The fields that are not named above: options of the driver. Text may be secret, so all text is held as such.
  std::map<std::string, std::variant<secret, bool>> options;
};

struct service_option {
  std::string name;
  bool is_secret = false;  ///< write-only: value is empty then
  bool is_boolean = false;
  std::string value;  ///< booleans: "true" or "false"
};

/// What a user sees of a service: no secret.
struct service_view {
  std::string id;
  std::int64_t revision = 0;
  std::string name;
  std::string type;
  std::string endpoint;  ///< where devices will be sent: "https://host[:port]"
  std::vector<service_option> options;
  http::headers headers;
  std::string certificate;     ///< PEM
  std::string certificate_id;  ///< "sha256:<64 hex>", or empty
  milliseconds expiration{};
  std::optional<milliseconds> offline;  ///< how long offline grants live; nothing: there are none
  std::string object_name_template;
  verification verify = verification::head;
  service_bounds bounds;
  storage::bounds enforced;  ///< by the storage itself
  timestamp created_at, updated_at;

  enforcement enforcement_of(storage::bound b) const noexcept;
};

/// Whether a service works, as far as the backend has seen.
struct service_health {
  bool healthy = true;
  std::optional<errc> code;  ///< while degraded
  std::string reason;        ///< while degraded: what to do about it
  timestamp since;           ///< when this state began
};

struct saved_service {
  service_view service;
  std::vector<std::string> warnings;  ///< sentences for the user: what was overridden, what could not be reached
};

/// One step of a service test.
struct test_step {
  std::string name;  ///< "prepare", "put", "stat", "get", "remove"
  std::optional<error> failure;
  milliseconds took{};
};
struct service_test_report {
  std::vector<test_step> steps;  ///< up to and including the one that failed; a failed one is followed by "remove" only
  bool ok() const noexcept;
};

/// A service ready to sign with. Stays usable by who holds it, even after the service was changed or removed.
struct live_service {
  service_view view;
  object_name_template names;
  std::unique_ptr<storage::driver> driver;
  bool prepared = false;                     ///< the container is known to exist
  std::optional<steady_time> prepare_tried;  ///< when that was last tried
  service_health preparation;                ///< how that went
};

struct services_context {
  sql::database& db;
  const sealer& seals;
  http::transport& transport;  ///< guarded
  const io::clock& clock;
  io::fs::path local_root;     ///< of the LOCAL store
  std::string local_base_url;  ///< of the LOCAL store
  secret local_signing_key;
  /// Judges an endpoint ("https://host[:port]") before a service is stored, as storage::endpoint_guard::check_endpoint
  /// does: an error refuses the service, a text is a warning. Empty function: no check.
  std::function<io::task<result<std::string>>(std::string endpoint)> check_endpoint;
  /// The driver types on offer; empty: storage::driver_types().
  std::span<const storage::driver_type> types;
  http::transport* metadata = nullptr;  ///< see storage::driver_context
  auth::token_folders token_folders;
};

/// The services, in memory and in the database. Confined to its executor. Each change is recorded in the audit, in its
/// transaction, as done by `by`.
class services {
 public:
  static constexpr milliseconds default_expiration{120'000};
  static constexpr milliseconds max_offline_duration = std::chrono::days(7);  ///< what a lost device may hold
  static constexpr std::size_t max_services = 1000;
  static constexpr std::size_t max_headers = 32;
  static constexpr std::size_t max_certificate_bytes = 64 * 1024;
  static constexpr std::size_t max_option_bytes = 16 * 1024;

  explicit services(services_context context);
  /// The driver types on offer.
  std::span<const storage::driver_type> types() const;

  /// Before load(): the key of the LOCAL store's URLs, where it was not known at construction.
  void set_local_signing_key(secret key) { context_.local_signing_key = std::move(key); }
  /// Reads all services. Once, before anything else. Errors: the database's, data_corrupt (the master key is another).
  io::task<result<void>> load() { return take_over(true); }
  /// Takes over what others have changed in the database: another backend on it. What has changed or gone is retired.
  /// Errors: the database's.
  io::task<result<void>> refresh() { return take_over(false); }
  /// At the end: drops all fetched credentials and ends what fetches some, so that nothing keeps the executor busy.
  void stop();

  /// `name` is the scoped one below (base/names.h), `tenant` empty for the installation's own; in.name is local.
  /// A service of another tenant is not offered the credentials of the machine that the backend runs on (metadata
  /// services, token files): they are the operator's.
  ///
  /// Checks everything, stores, and makes the container if it is missing (a storage out of reach is a warning).
  /// Errors, all leaving nothing stored: invalid_argument at a field, already_exists at "name", permission_denied at
  /// "endpoint" (forbidden address), too_large (max_services), the database's.
  io::task<result<saved_service>> create(service_input in, std::string tenant = {}, origin by = origin());
  /// Replaces the named service whole: what is not given is no more, secrets included. in.name may be absent or the
  /// same. Errors: as create, not_found.
  io::task<result<saved_service>> replace(std::string name, service_input in, origin by = origin());
  /// Errors: not_found.
  result<service_view> get(std::string_view name) const;
  /// What end_grants would do; nothing where it can't. Errors: not_found.
  result<std::optional<storage::vendor_lever>> lever(std::string_view name) const;
  /// Whether the named service can sign: how the fetching of its credentials goes, or where they are given, how the
  /// storage was last prepared. Errors: not_found.
  result<service_health> health(std::string_view name) const;
  /// The tenant's, by name.
  std::vector<service_view> list(std::string_view tenant = {}) const;
  /// Errors: not_found, failed_precondition (a change of provider runs), the database's. Objects that are stored stay.
  io::task<result<void>> remove(std::string name, origin by = origin());
  /// The named service has the other's configuration from now on, secrets too, but keeps its name and id. `also` is
  /// done in the same transaction. Errors: those of `also`, failed_precondition (one of them was changed meanwhile),
  /// not_found, the database's.
  io::task<result<void>> take_configuration(std::string name, std::string other,
                                            std::function<result<void>(sql::connection&)> also);
  /// Pulls the storage's lever (storage::driver::end_grants) and takes the service up anew, here and in the other
  /// backends on the database: as a new revision, with nothing changed. For a service that is blocked. Takes at most
  /// 20 s. Errors: not_found, unsupported (no lever), failed_precondition (the service was changed meanwhile: try
  /// again), deadline_exceeded, the storage's, the database's.
  io::task<result<void>> end_grants(std::string name, origin by = origin());
  /// Puts, stats, reads and removes a canary object. Takes at most 20 s. Errors: not_found (the service).
  io::task<result<service_test_report>> test(std::string name);

  /// The service of the tenant that answers for the key of a device's request; without a key the one named "default".
  /// Errors: not_found, with a text for the device.
  result<std::shared_ptr<live_service>> find(const std::optional<std::string>& key, std::string_view tenant = {}) const;
  /// The same; one that is not known may be new in the database: it is looked up there, at most once a second.
  io::task<result<std::shared_ptr<live_service>>> find_anywhere(std::optional<std::string> key,
                                                                std::string tenant = {});
  /// The service as it was at that revision: changed and removed ones are kept for a while, so that what was granted
  /// before can still be checked. Null when it is known no more.
  std::shared_ptr<live_service> find_revision(std::string_view id, std::int64_t revision) const;
  /// Before a grant: makes the container unless it is known to exist, tries at most every 30 s and waits at most 2 s. A
  /// failure is not the device's: it will see what the storage says.
  io::task<void> prepare_once(std::shared_ptr<live_service> s);
  /// The PEM of an existing service's certificate. Errors: not_found.
  result<std::string> certificate(std::string_view certificate_id, std::string_view tenant = {}) const;

 private:
  struct checked;
  io::task<result<checked>> check(service_input in, std::string tenant) const;
  result<storage::option_values> check_options(const storage::driver_type& type, const service_input& in) const;
  result<std::unique_ptr<storage::driver>> make(const storage::driver_type& type, const storage::option_values& options,
                                                checked& out, std::string_view tenant) const;
  /// Errors: check_endpoint's, at the field that named the endpoint. Gives warnings.
  io::task<result<std::vector<std::string>>> judge_endpoints(
      const storage::driver_type& type, std::vector<storage::made_driver::other_endpoint> all) const;
  void note(live_service& s, const result<void>& prepared) const;
  io::task<result<saved_service>> save(std::shared_ptr<checked> c, std::shared_ptr<live_service> previous, origin by);
  io::task<result<void>> take_over(bool at_start);
  result<std::shared_ptr<live_service>> revive(const sql::service_row& row) const;
  void retire(std::shared_ptr<live_service> s);

  static constexpr std::size_t max_retired = 64;
  services_context context_;
  std::map<std::string, std::shared_ptr<live_service>, std::less<>> by_name_;
  std::vector<std::shared_ptr<live_service>> retired_;  // oldest first
  std::optional<steady_time> looked_up_;
};

}  // namespace evp::backend
