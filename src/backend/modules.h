// Module files: uploaded once, never changed, fetched by devices through short-lived signed URLs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/audit.h"
#include "base/crypto.h"
#include "io/clock.h"
#include "io/files.h"
#include "io/pool.h"
#include "sql/database.h"

namespace evp::backend {

struct module_view {
  std::string id;
  std::uint64_t size_bytes = 0;
  std::string sha256;  ///< 64 lower-case hexadecimal digits
  timestamp created_at;
};

/// A file that may be read now, for the download route.
struct module_file {
  io::fs::path path;
  module_view module;
};

class modules;

/// One upload under way: bytes go to a temporary file, hashed as they come. Dropping it forgets them.
class module_upload {
 public:
  ~module_upload();
  /// Errors: too_large (modules::max_module_bytes), unavailable (disk full).
  io::task<result<void>> write(std::string bytes);
  /// Makes the file durable and known. The same id with the same bytes succeeds again; with other bytes it is
  /// already_exists: agents never load an id anew. Errors also: invalid_argument (no bytes), the database's.
  io::task<result<module_view>> finish();

 private:
  friend class modules;
  explicit module_upload(modules& owner, std::string id, io::fs::path path, io::unique_fd fd, origin by);
  modules& owner_;
  origin by_;
  std::string id_;
  io::fs::path path_;
  io::unique_fd fd_;
  std::uint64_t size_ = 0;
  sha256_stream hash_;
  bool finished_ = false;
};

/// Confined to its executor. Each change is recorded in the audit, in its transaction, as done by `by`.
class modules {
 public:
  static constexpr std::uint64_t max_module_bytes = 256ULL << 20;
  static constexpr std::size_t max_modules = 10'000;
  static constexpr std::size_t max_uploads = 8;  ///< under way at once
  static constexpr milliseconds url_lifetime{15 * 60'000};

  struct context {
    sql::database& db;
    io::pool& disk;  ///< for file writes
    const io::clock& clock;
    io::fs::path folder;   ///< "<data>/modules"
    std::string base_url;  ///< where devices reach this backend: "https://backend.example:8443"
    secret signing_key;
  };
  explicit modules(context c);

  /// Before any URL is signed, where it was not known at construction.
  void set_signing_key(secret key) { c_.signing_key = std::move(key); }
  /// Reads all rows and removes what an interrupted upload left. Errors: the database's, errno's.
  io::task<result<void>> load();
  /// Reads the rows again: another backend on the database has changed some. Errors: the database's.
  io::task<result<void>> refresh();

  /// Errors: invalid_argument at "id", too_large (max_modules), rate_limited (max_uploads), errno's.
  result<std::unique_ptr<module_upload>> begin(std::string id, origin by = origin());
  /// By id.
  std::vector<module_view> list(std::string_view tenant = {}) const;
  /// Errors: not_found.
  result<module_view> get(std::string_view id) const;
  /// Errors: not_found, failed_precondition (a deployment uses it), the database's.
  io::task<result<void>> remove(std::string id, origin by = origin());

  /// "<base_url>/modules/<id>?exp=<Unix seconds>&sig=<base64url>", valid for url_lifetime. Errors: not_found.
  result<secret> signed_url(std::string_view id) const;
  /// For the download route: id, exp and sig as they stand in the URL. Errors: permission_denied (bad signature or
  /// expired), not_found.
  result<module_file> verify(std::string_view id, std::string_view exp, std::string_view sig) const;

 private:
  friend class module_upload;
  std::string signature(std::string_view id, std::string_view exp) const;
  io::fs::path path_of(const module_view& m) const { return c_.folder / m.sha256; }

  context c_;
  std::map<std::string, module_view, std::less<>> all_;
  std::size_t uploads_ = 0;
};

}  // namespace evp::backend
