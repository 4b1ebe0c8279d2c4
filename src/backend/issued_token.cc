#include "backend/issued_token.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::backend {
namespace {

constexpr std::size_t id_characters = 16;
constexpr std::size_t secret_characters = 32;  // of 5 random bits each: 160 bits

}  // namespace

issued_token issued_token::make(std::string_view kind) {
  issued_token out;
  out.id = random_id(id_characters);
  out.text = secret(fmt::format("{}_{}_{}", kind, out.id, random_id(secret_characters)));
  out.sha256 = to_hex(evp::sha256(out.text.reveal()));
  return out;
}

std::string_view id_of_token(std::string_view kind, std::string_view text) {
  const bool is_one = text.size() == kind.size() + 1 + id_characters + 1 + secret_characters &&
                      text.starts_with(kind) && text[kind.size()] == '_';
  return is_one ? text.substr(kind.size() + 1, id_characters) : std::string_view();
}

bool is_token(std::string_view text, const std::string* sha256) {
  static const std::string nobody(64, '0');
  return equal_in_constant_time(to_hex(evp::sha256(text)), sha256 ? *sha256 : nobody) && sha256;
}

}  // namespace evp::backend
