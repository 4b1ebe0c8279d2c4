// Recomputes the chain of an audit from its JSON lines (docs/audit.md), without trusting who wrote them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/audit_chain.h"
#include "base/error.h"

namespace evp::cli {

/// A place in the chain: a record's number and its hash in hexadecimal digits.
struct chain_place {
  std::int64_t number = 0;
  std::string hash;
};

class audit_verifier {
 public:
  static constexpr std::size_t max_line_bytes = 64 * 1024;

  /// `known`: a record that must be among them, or at one of their ends, with that hash.
  explicit audit_verifier(std::optional<chain_place> known = {}) : known_(std::move(known)) {}

  /// Takes the next bytes, in pieces of any size. Errors: data_corrupt, naming record and reason; then it is over.
  result<void> feed(std::string_view bytes);

  struct verdict {
    std::int64_t records = 0, first = 0;
    chain_place end;
  };
  /// At the end of the bytes. Errors: data_corrupt (they end too early; the known record is not among them).
  result<verdict> finish() const;

 private:
  result<void> take_line(std::string_view line);
  result<void> take_record(std::string_view line);
  result<void> compare_known();

  std::optional<chain_place> known_;
  bool known_seen_ = false, begun_ = false, ended_ = false;
  std::string rest_;
  std::string hash_;  // of the last record, raw
  std::int64_t number_ = 0, records_ = 0, first_ = 0;
};

/// "1042:<64 hexadecimal digits>". Errors: invalid_argument.
result<chain_place> parse_chain_place(std::string_view text);

}  // namespace evp::cli
