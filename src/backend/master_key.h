// Where the master key is kept: a file of the backend's own, or a command or an environment variable of the operator's.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "io/files.h"

namespace evp::backend {

/// The key that seals first, then those that may still be needed to open what is there. Each has 32 bytes.
using master_keys = std::vector<secret>;

/// As text: 64 hexadecimal digits a line, the key in force first, earlier ones after it. Blocks for disk and command.
/// Any thread.
class master_key_source {
 public:
  static constexpr std::size_t max_keys = 8;

  /// The file of that name, mode 0600, made with a fresh key when it is missing.
  static master_key_source file(io::fs::path path);
  /// The output of "/bin/sh -c <command>": a call of a key management service, say. It has 30 s.
  static master_key_source command(std::string line);
  /// A text that was taken from the environment. It cannot change while the program runs.
  static master_key_source text(secret keys);

  /// Errors: failed_precondition (the file's mode lets group or others in, another user owns it, or it is no regular
  /// file: says what to do; the command failed), data_corrupt (no keys), and those of io::read_file.
  result<master_keys> read() const;
  /// Whether the backend keeps the keys itself, and so may make new ones.
  bool is_own() const noexcept { return kind_ == kind::file; }
  /// Durable when it returns. Only where is_own(). Errors: io::write_file_durably's.
  result<void> write(const master_keys& keys) const;

 private:
  enum class kind { file, command, text };
  master_key_source(kind k, io::fs::path path, secret given)
      : kind_(k), path_(std::move(path)), given_(std::move(given)) {}
  kind kind_;
  io::fs::path path_;
  secret given_;  ///< the command, or the text
};

}  // namespace evp::backend
