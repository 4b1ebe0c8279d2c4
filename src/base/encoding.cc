#include "base/encoding.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace evp {
namespace {

constexpr std::string_view base64_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64url_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string encode64(std::string_view bytes, std::string_view alphabet, bool padding) {
  std::string out((bytes.size() + 2) / 3 * 4, '=');
  char* to = out.data();
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto left = bytes.size() - i;
    std::uint32_t v = std::uint32_t(std::uint8_t(bytes[i])) << 16;
    if (left > 1) v |= std::uint32_t(std::uint8_t(bytes[i + 1])) << 8;
    if (left > 2) v |= std::uint8_t(bytes[i + 2]);
    *to++ = alphabet[v >> 18];
    *to++ = alphabet[v >> 12 & 63];
    if (left > 1) *to++ = alphabet[v >> 6 & 63];
    if (left > 2) *to++ = alphabet[v & 63];
  }
  if (!padding) out.resize(std::size_t(to - out.data()));
  return out;
}

constexpr bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  std::string out;
  append_hex(out, bytes);
  return out;
}

void append_hex(std::string& out, std::string_view bytes) {
  static constexpr auto pairs = [] {
    constexpr std::string_view digits = "0123456789abcdef";
    std::array<std::array<char, 2>, 256> t{};
    for (std::size_t i = 0; i < t.size(); ++i) t[i] = {digits[i >> 4], digits[i & 15]};
    return t;
  }();
  const auto before = out.size();
  out.resize(before + 2 * bytes.size());
  char* to = out.data() + before;
  for (const char c : bytes) to = std::copy_n(pairs[std::uint8_t(c)].data(), 2, to);
}

result<std::string> from_hex(std::string_view text) {
  if (text.size() % 2) return fail(errc::invalid_argument, "not hexadecimal: an odd number of digits");
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return fail(errc::invalid_argument, "not hexadecimal: use only 0-9 and a-f");
    out += char(high << 4 | low);
  }
  return out;
}

std::string to_base64(std::string_view bytes) { return encode64(bytes, base64_alphabet, true); }
std::string to_base64url(std::string_view bytes) { return encode64(bytes, base64url_alphabet, false); }
std::string to_base64url_padded(std::string_view bytes) { return encode64(bytes, base64url_alphabet, true); }

result<std::string> from_base64(std::string_view text) {
  static constexpr auto table = [] {
    std::array<std::int8_t, 256> t{};
    t.fill(-1);
    for (std::size_t i = 0; i < 64; ++i) t[std::uint8_t(base64_alphabet[i])] = std::int8_t(i);
    return t;
  }();
  const auto bad = [] { return fail(errc::invalid_argument, "not base64 (RFC 4648 with padding)"); };
  if (text.size() % 4) return bad();
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const int pad = last ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
    std::uint32_t v = 0;
    for (int k = 0; k < 4; ++k) {
      const int d = k >= 4 - pad ? 0 : table[std::uint8_t(text[i + std::size_t(k)])];
      if (d < 0) return bad();
      v = v << 6 | std::uint32_t(d);
    }
    if ((pad == 1 && v & 0xff) || (pad == 2 && v & 0xffff)) return bad();
    out += char(v >> 16);
    if (pad < 2) out += char(v >> 8 & 255);
    if (pad < 1) out += char(v & 255);
  }
  return out;
}

std::string percent_encode(std::string_view text, bool keep_slash) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  append_percent_encoded(out, text, keep_slash);
  return out;
}

void append_percent_encoded(std::string& out, std::string_view text, bool keep_slash) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  static constexpr auto plain_but = [](char also) {
    std::array<bool, 256> t{};
    for (int c = 0; c < 256; ++c) t[std::size_t(c)] = is_unreserved(char(c)) || char(c) == also;
    return t;
  };
  static constexpr auto plain = plain_but('-'), plain_or_slash = plain_but('/');
  const auto& stays = keep_slash ? plain_or_slash : plain;
  // Most texts have nothing to encode, or only towards their end.
  const auto first =
      std::find_if(text.begin(), text.end(), [&stays](char c) { return !stays[std::uint8_t(c)]; }) - text.begin();
  out.append(text, 0, std::size_t(first));
  text.remove_prefix(std::size_t(first));
  const auto before = out.size();
  out.resize(before + 3 * text.size());
  char* to = out.data() + before;
  for (const char c : text) {
    if (stays[std::uint8_t(c)]) {
      *to++ = c;
      continue;
    }
    *to++ = '%';
    *to++ = digits[std::uint8_t(c) >> 4];
    *to++ = digits[std::uint8_t(c) & 15];
  }
  out.resize(std::size_t(to - out.data()));
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = char(c + 32);
  return out;
}

result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(errc::invalid_argument, "'%' is not followed by two hexadecimal digits");
    out += char(high << 4 | low);
    i += 2;
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  return begin == text.npos ? std::string_view() : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = std::uint8_t(text[i]);
    std::size_t extra;
    std::uint32_t point;
    if (c < 0x80) {
      ++i;
      continue;
    }
    if (c >= 0xc2 && c <= 0xdf)
      extra = 1, point = c & 0x1f;
    else if (c >= 0xe0 && c <= 0xef)
      extra = 2, point = c & 0x0f;
    else if (c >= 0xf0 && c <= 0xf4)
      extra = 3, point = c & 0x07;
    else
      return false;
    if (i + extra >= text.size()) return false;
    for (std::size_t k = 1; k <= extra; ++k) {
      const auto follow = std::uint8_t(text[i + k]);
      if ((follow & 0xc0) != 0x80) return false;
      point = point << 6 | (follow & 0x3f);
    }
    if ((extra == 2 && (point < 0x800 || (point >= 0xd800 && point <= 0xdfff))) ||
        (extra == 3 && (point < 0x10000 || point > 0x10ffff)))
      return false;
    i += extra + 1;
  }
  return true;
}

bool has_control_characters(std::string_view text) noexcept {
  for (const char c : text)
    if (std::uint8_t(c) < 0x20 || c == 0x7f) return true;
  return false;
}

}  // namespace evp
