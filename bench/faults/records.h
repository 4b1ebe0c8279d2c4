// What the module wrote down: what it was promised, and what it was told.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/files.h"

namespace evp::bench {

/// The number of a file and of the attempt to hand it over.
using attempt_key = std::pair<unsigned, unsigned>;
inline std::string name_of(const attempt_key& k) { return std::to_string(k.first) + "-" + std::to_string(k.second); }

struct told_outcome {
  std::uint64_t id = 0;
  unsigned life = 0;
  bool is_own = false;  ///< by the operation's own callback
  int result = 0, http_status = 0, error = 0;
};

struct attempt {
  std::uint64_t id = 0;  ///< with `accepted`
  bool accepted = false, refused = false;
  std::vector<told_outcome> told;
};

struct records {
  std::map<attempt_key, attempt> attempts;
  unsigned lives = 0, accepted = 0, ended = 0;  ///< of accepted attempts: how many have been told
};

/// Reads the file as it grows.
class record_reader {
 public:
  explicit record_reader(io::fs::path file) : file_(std::move(file)) {}
  /// What has been written so far.
  const records& read();

 private:
  void take(const std::string& line);
  io::fs::path file_;
  std::ifstream in_;
  std::string partial_;
  records all_;
};

}  // namespace evp::bench
