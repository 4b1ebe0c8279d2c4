// What a storage vendor must offer: sign grants for devices, and let the backend itself check, read and remove objects.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "http/client.h"
#include "io/clock.h"
#include "io/files.h"

namespace evp::storage {

enum class operation { put, get };

/// What is to be signed. The object's name has passed check_object_name.
struct sign_spec {
  operation op = operation::put;
  std::string object;              ///< full name within the container, UTF-8, not encoded
  milliseconds lifetime{120'000};  ///< from now; a driver refuses what its vendor would
  bool portless_host = false;      ///< the device sends Host without a port (public agent)
  http::headers fields;            ///< the service's extra headers, which the device will send
};

/// A ready-made request that a device executes as it stands: URL and headers untouched.
struct signed_request {
  std::string method;
  secret url;
  http::headers fields;  ///< all that must be sent beside Host and Content-Length
  std::vector<int> expect;
  timestamp expires_at;
};

struct object_info {
  std::uint64_t size = 0;
  std::string etag;    ///< as the vendor gives it, quotes included; may be empty
  std::string sha256;  ///< 64 hexadecimal digits where the storage knows it (LOCAL), else empty
};

/// What a driver can do; the conformance suite runs what is declared.
struct capabilities {
  bool sign_get = true;
  milliseconds max_lifetime{7 * 24 * 3600 * 1000LL};
  std::uint64_t max_put_bytes = 5ULL << 30;
  bool signs_fields = false;  ///< the storage refuses a request whose extra headers differ from the signed ones
};

/// One configured storage. Confined to its executor; holds no connection of its own. A driver does not retry, sleep,
/// log or choose TLS settings: the transport it was given does what is needed.
class driver {
 public:
  virtual ~driver() = default;
  virtual capabilities caps() const noexcept = 0;

  /// Signs locally. Errors: invalid_argument (lifetime beyond the vendor's limit, a header that cannot be signed).
  virtual result<signed_request> sign(const sign_spec& spec) = 0;

  /// Makes the container if it is missing. Errors: unauthenticated, permission_denied, unavailable, not_found.
  virtual io::task<result<void>> prepare() = 0;
  /// Stores a small object (at most 1 MiB). Errors: as prepare.
  virtual io::task<result<void>> put(std::string object, std::string bytes) = 0;
  /// Errors: not_found, and as prepare.
  virtual io::task<result<object_info>> stat(std::string object) = 0;
  /// Errors: not_found, too_large (more than max_bytes), and as prepare.
  virtual io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) = 0;
  /// Idempotent: a missing object counts as removed. Errors: as prepare.
  virtual io::task<result<void>> remove(std::string object) = 0;
};

/// One option of a driver type, as it stands in the body of POST /v1/storage-access-services.
struct option_spec {
  enum class kind { text, secret, boolean, url };
  std::string_view name;  ///< JSON spelling: "accessKeyId"
  kind type = kind::text;
  bool required = false;
  std::string_view help;
};

/// Values of a service: plain ones readable, secret ones write-only. Booleans are "true" or "false".
class option_values {
 public:
  struct value {
    std::string name;
    secret text;
    bool is_secret = false;
  };
  void set(std::string name, secret text, bool is_secret);
  /// Empty when absent.
  const secret& get(std::string_view name) const;
  std::string text(std::string_view name) const { return get(name).reveal(); }
  bool has(std::string_view name) const;
  const std::vector<value>& all() const noexcept { return values_; }

 private:
  std::vector<value> values_;
};

/// What a driver is made of beside its options. The references outlive the driver.
struct driver_context {
  http::transport& transport;  ///< guarded: resolves, checks and pins the endpoint's address
  const io::clock& clock;
  std::string ca_pem;          ///< the service's certificate; empty: the system's
  io::fs::path local_root;     ///< where the LOCAL store keeps objects
  std::string local_base_url;  ///< where devices reach the LOCAL store: "http://127.0.0.1:8080"
  secret local_signing_key;
};

struct made_driver {
  std::unique_ptr<storage::driver> instance;
  std::vector<std::string> warnings;  ///< what the user should know, one sentence each
  std::string endpoint;               ///< where requests will go: "https://host[:port]", for GET and for the guard
};

struct driver_type {
  std::string_view name;  ///< "AZURE"
  std::span<const option_spec> options;
  /// Checks every option (bad base64, unusable URL...) without network. Errors: invalid_argument at the field.
  result<made_driver> (*make)(const option_values& options, const driver_context& context);
};

/// All driver types; the registry is this table.
std::span<const driver_type> driver_types();
/// Errors: invalid_argument at "type", naming the types there are.
result<const driver_type*> find_driver_type(std::string_view name);

}  // namespace evp::storage
