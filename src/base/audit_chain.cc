#include "base/audit_chain.h"

#include "base/crypto.h"

namespace evp {
namespace {

constexpr std::string_view form = "openevp-audit-1";

void append_field(std::string& out, std::string_view text) {
  const auto n = std::uint32_t(text.size());
  for (const int shift : {24, 16, 8, 0}) out += char(n >> shift & 0xff);
  out += text;
}

}  // namespace

std::string audit_chain_start() { return std::string(audit_hash_bytes, '\0'); }

std::string audit_hash(std::string_view previous, const audit_record& r) {
  std::string bytes(previous);
  bytes.reserve(previous.size() + 64 + r.actor.size() + r.action.size() + r.object_kind.size() + r.object_name.size() +
                r.peer.size() + r.outcome.size() + r.detail.size() + 80);
  append_field(bytes, form);
  append_field(bytes, std::to_string(r.number));
  append_field(bytes, std::to_string(r.at));
  for (const auto* field : {&r.actor, &r.action, &r.object_kind, &r.object_name, &r.peer, &r.outcome, &r.detail})
    append_field(bytes, *field);
  return sha256(bytes);
}

}  // namespace evp
