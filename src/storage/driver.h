// What a storage vendor must offer: sign grants for devices, and let the backend itself check, read and remove objects.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/credentials/refresh_policy.h"
#include "auth/credentials/token_file.h"
#include "base/secret.h"
#include "base/time.h"
#include "http/client.h"
#include "io/clock.h"
#include "io/files.h"

namespace evp::storage {

enum class operation { put, get };

/// What a grant can be bounded by. Each driver declares those that its storage itself enforces (capabilities); the
/// conformance suite attacks every one of them.
enum class bound : std::uint32_t {
  object = 1 << 0,          ///< one object's name
  prefix = 1 << 1,          ///< every name that begins with a prefix: one grant for many files
  method = 1 << 2,          ///< upload or download, not the other
  expiry = 1 << 3,          ///< a point in time
  size = 1 << 4,            ///< exactly so many bytes
  max_size = 1 << 5,        ///< at most so many bytes
  content_type = 1 << 6,    ///< this Content-Type
  sha256 = 1 << 7,          ///< bytes of this SHA-256
  create_only = 1 << 8,     ///< an object that is there already stays as it is
  source_address = 1 << 9,  ///< from this address or network
  https_only = 1 << 10,     ///< never over plain http
};
/// A set of bounds.
class bounds {
 public:
  constexpr bounds() = default;
  constexpr bounds(std::initializer_list<bound> all) {
    for (const auto b : all) bits_ |= std::uint32_t(b);
  }
  constexpr bool has(bound b) const noexcept { return (bits_ & std::uint32_t(b)) != 0; }
  constexpr bounds with(bound b) const noexcept {
    bounds out = *this;
    out.bits_ |= std::uint32_t(b);
    return out;
  }
  constexpr bounds without(bounds b) const noexcept {
    bounds out = *this;
    out.bits_ &= ~b.bits_;
    return out;
  }

 private:
  std::uint32_t bits_ = 0;
};
/// Every bound with its name in REST answers and documents ("maxSize"), in the order above.
struct bound_name {
  bound what;
  std::string_view name;
};
std::span<const bound_name> bound_names();

/// What is to be signed. The object's name has passed check_object_name.
struct sign_spec {
  operation op = operation::put;
  std::string object;              ///< full name within the container, UTF-8, not encoded
  milliseconds lifetime{120'000};  ///< from now; a driver refuses what its vendor would
  bool portless_host = false;      ///< the device sends Host without a port (public agent)
  http::headers fields;            ///< the service's extra headers, which the device will send

  // Bounds beside object, method and expiry. The caller asks only for what capabilities::enforces has.
  bool is_prefix = false;  ///< `object` is a prefix ("cam-1/"), and the grant is good for every name that begins so
  std::optional<std::uint64_t> size, max_size;
  std::string content_type;  ///< empty: any
  std::string sha256;        ///< 64 hexadecimal digits; empty: any bytes
  bool create_only = false;
  std::string source_address;  ///< an IP address or CIDR network; empty: any
};

/// A ready-made request that a device executes as it stands: URL and headers untouched.
struct signed_request {
  std::string method;
  secret url;
  http::headers fields;  ///< all that must be sent beside Host and Content-Length
  std::vector<int> expect;
  timestamp expires_at;
  /// Text around the file's bytes, for storages that want a form; Content-Length counts it. At most 8 KiB each.
  secret body_prefix, body_suffix;

  /// Of a grant for a prefix: the name of the object that is to be sent goes to the end of `url` (percent-encoded) or
  /// of `body_prefix` (as it is), and `after_name` follows it there. See with_name.
  enum class name_slot { none, url, body };
  name_slot slot = name_slot::none;
  secret after_name;
};

/// The request for one object of a grant for a prefix; the storage refuses a name that begins otherwise. The name has
/// passed check_object_name.
signed_request with_name(signed_request grant, std::string_view object);

struct object_info {
  std::uint64_t size = 0;
  std::string etag;                      ///< as the vendor gives it, quotes included; may be empty
  std::string sha256;                    ///< 64 hexadecimal digits where the storage knows it (LOCAL), else empty
  std::optional<timestamp> modified_at;  ///< by the storage's clock; nothing where it doesn't say
};

/// How a storage takes an upload in parts. All parts but the last have the same size, within these limits.
struct part_limits {
  std::uint64_t min_bytes = 5ULL << 20;
  std::uint64_t max_bytes = 5ULL << 30;
  unsigned max_parts = 10'000;
  std::uint64_t multiple_of = 1;  ///< a part's size is a multiple of this
  bool in_order = false;          ///< only one part at a time, in ascending order
};

/// A part that is to be sent.
struct part_place {
  unsigned number = 1;  ///< from 1
  std::uint64_t offset = 0, length = 0;
};

/// A part that has arrived, as the storage itself tells.
struct stored_part {
  unsigned number = 0;  ///< from 1
  std::uint64_t size = 0;
  std::string etag;  ///< what the commit must name, where the vendor wants one
};

/// What a driver can do; the conformance suite runs what is declared.
struct capabilities {
  bool sign_get = true;
  milliseconds max_lifetime{7 * 24 * 3600 * 1000LL};
  std::uint64_t max_put_bytes = 5ULL << 30;
  bool signs_fields = false;  ///< the storage refuses a request whose extra headers differ from the signed ones
  bool can_stat = true;       ///< false: the credentials may not look at objects, so nothing can be verified
  bounds enforces{bound::object, bound::method, bound::expiry};
  /// Those of `enforces` that make the grant a form: not together with create_only or source_address, and not for the
  /// public agent, which sends no forms.
  bounds by_form{};
  std::optional<part_limits> parts;  ///< nothing: no uploads in parts
};

/// How a vendor ends grants before they expire. It takes back what they were signed by, and so ends more than one.
struct vendor_lever {
  std::string_view name;    ///< "azure-stored-access-policy"
  std::string reach;        ///< a sentence for the user: all that ends by it
  milliseconds takes{};     ///< until it counts; 0: the vendor says no time
  std::string_view source;  ///< that document
};

/// One configured storage. Confined to its executor; holds no connection of its own. A driver does not retry, sleep,
/// log or choose TLS settings: the transport it was given does what is needed.
class driver {
 public:
  virtual ~driver() = default;
  virtual capabilities caps() const noexcept = 0;

  /// Signs: locally wherever the vendor allows it, with a credential that may have to be fetched first. The grant ends
  /// no later than the credential that signed it. Errors: invalid_argument (lifetime beyond the vendor's limit, a
  /// header that cannot be signed), unsupported (a bound that capabilities::enforces lacks), and where a credential or
  /// a grant has to be fetched: unauthenticated, permission_denied, unavailable.
  virtual io::task<result<signed_request>> sign(sign_spec spec) = 0;

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

  // Uploads in parts, for drivers whose capabilities have `parts`; others answer unsupported. The backend begins,
  // lists, commits and aborts with its own credentials; a device only ever sees the signed requests of single parts.

  /// Begins an upload of spec.object (with spec.fields on the finished object) and gives the storage's id for it, at
  /// most 2 KiB of text. Errors: as prepare.
  virtual io::task<result<std::string>> begin_parts(sign_spec spec);
  /// Signs the upload of one part. Errors: as sign.
  virtual io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part);
  /// The parts that have arrived, by number. Errors: not_found (no such upload: aborted, committed or too old), as
  /// prepare.
  virtual io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id);
  /// Makes the object of these parts, which list_parts gave. Errors: failed_precondition (a part is missing or has
  /// changed), not_found, as prepare.
  virtual io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts);
  /// Drops what has arrived. Idempotent. Errors: as prepare.
  virtual io::task<result<void>> abort_parts(std::string object, std::string upload_id);

  /// The lever, if the options ask for one; nothing: what is signed stays good until it expires.
  virtual std::optional<vendor_lever> lever() const { return std::nullopt; }
  /// Pulls it: vendor_lever::takes after this has returned, no grant is good that was signed before. So is none that
  /// this driver signs afterwards: make another one of the same options. Errors: unsupported (no lever), as prepare.
  virtual io::task<result<void>> end_grants();

  /// How the fetching of its credentials goes; nothing where they are given and never fetched.
  virtual std::optional<auth::credential_health> health() const { return std::nullopt; }
  /// The service was changed or removed: forgets at once what was fetched. sign answers failed_precondition from now
  /// on; the other calls go on (with a credential fetched anew), since earlier grants are still to be checked.
  virtual void retire() {}
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
  http::transport* metadata = nullptr;  ///< leads to the metadata services of cloud machines only; null: not offered
  auth::token_folders token_folders;    ///< where token files may lie
  std::string tenant;  ///< whose service it is, empty: the installation's own. The LOCAL store keeps them apart
};

struct made_driver {
  std::unique_ptr<storage::driver> instance;
  std::vector<std::string> warnings;  ///< what the user should know, one sentence each
  std::string endpoint;               ///< where requests will go: "https://host[:port]", for GET and for the guard
  struct other_endpoint {
    std::string field;  ///< the option that names it
    std::string url;
  };
  std::vector<other_endpoint> others;  ///< where else: issuers of tokens; the guard judges them too
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
