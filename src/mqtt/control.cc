#include "mqtt/control.h"

#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "base/names.h"

namespace evp::mqtt::control {
namespace {

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};

std::string line(const command& c) {
  auto set = [](const set_device& d) {
    const auto hash = d.token_sha256.empty() ? std::string("-") : to_hex(d.token_sha256);
    return "set " + d.id + " " + hash + (d.blocked ? " b\n" : " -\n");
  };
  return std::visit(overloaded{set, [](const remove_device& d) { return "remove " + d.id + "\n"; },
                               [](const kick_device& d) {
                                 return "kick " + d.id + (d.session ? " " + std::to_string(d.session) : "") + "\n";
                               },
                               [](const set_observer& o) { return "observer " + to_hex(o.token_sha256) + "\n"; },
                               [](const revoke_certificate& r) { return "revoke " + to_hex(r.id) + "\n"; },
                               [](const restore_certificate& r) { return "restore " + to_hex(r.id) + "\n"; },
                               [](const replace_begin&) { return std::string("replace-begin\n"); },
                               [](const replace_end&) { return std::string("replace-end\n"); }},
                    c);
}

result<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size())
    return fail(errc::invalid_argument, "must be a decimal number of 64 bits");
  return value;
}

// The words between single spaces.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> all;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(' ', at), text.size());
    all.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return all;
}

result<std::string> digest_of(std::string_view hex) {
  TRY(auto hash, from_hex(hex));
  if (hash.size() != 32)
    return fail(errc::invalid_argument, "a token's SHA-256 and a certificate's id must have 64 hexadecimal digits");
  return hash;
}

result<command> parse(std::string_view text) {
  const auto word = words(text);
  if (text == "replace-begin") return replace_begin{};
  if (text == "replace-end") return replace_end{};
  if (word.size() < 2) return fail(errc::invalid_argument, "no such command");
  if (word[0] == "observer" && word.size() == 2) {
    TRY(auto hash, digest_of(word[1]));
    return set_observer{std::move(hash)};
  }
  if ((word[0] == "revoke" || word[0] == "restore") && word.size() == 2) {
    TRY(auto id, digest_of(word[1]));
    if (word[0] == "revoke") return revoke_certificate{std::move(id)};
    return restore_certificate{std::move(id)};
  }
  CHECK(check_scoped_name(word[1], "a device id"));
  std::string id(word[1]);
  if (word[0] == "remove" && word.size() == 2) return remove_device{std::move(id)};
  if (word[0] == "kick" && word.size() == 2) return kick_device{std::move(id)};
  if (word[0] == "kick" && word.size() == 3) {
    TRY(const auto session, number(word[2]));
    return kick_device{std::move(id), session};
  }
  if (word[0] != "set" || word.size() != 4) return fail(errc::invalid_argument, "no such command");
  std::string hash;
  if (word[2] != "-") { TRY(hash, digest_of(word[2])); }
  if (word[3] != "-" && word[3] != "b") return fail(errc::invalid_argument, "the flags must be '-' or 'b'");
  return set_device{std::move(id), std::move(hash), word[3] == "b"};
}

}  // namespace

std::string encode(const batch& b) {
  std::string text = "batch " + std::to_string(b.number) + "\n";
  for (const auto& c : b.commands) text += line(c);
  return text;
}

result<batch> decode(std::string_view text) {
  if (text.size() > message_max_bytes) return fail(errc::too_large, "a batch may have up to 128 KiB");
  batch b;
  for (std::size_t count = 1; !text.empty(); ++count) {
    const auto end = text.find('\n');
    const auto at_line = "line " + std::to_string(count);
    if (end == text.npos) return fail(error(errc::invalid_argument, "must end with a newline").during(at_line));
    const auto one = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (count > 1) {
      auto c = parse(one);
      if (!c) return fail(std::move(c).error().during(at_line));
      b.commands.push_back(std::move(*c));
      continue;
    }
    if (!one.starts_with("batch ")) return fail(errc::invalid_argument, "line 1: must be \"batch <number>\"");
    TRY(b.number, number(one.substr(6)));
    if (text.empty()) return b;
  }
  if (b.commands.empty()) return fail(errc::invalid_argument, "line 1: must be \"batch <number>\"");
  return b;
}

std::vector<std::string> encode_all(std::uint64_t first_number, std::span<const command> commands) {
  std::vector<std::string> all;
  std::string text;
  for (const auto& c : commands) {
    const auto next = line(c);
    if (!text.empty() && text.size() + next.size() > message_max_bytes) all.push_back(std::exchange(text, {}));
    if (text.empty()) text = "batch " + std::to_string(first_number + all.size()) + "\n";
    text += next;
  }
  if (!text.empty()) all.push_back(std::move(text));
  return all;
}

std::string encode(const presence& p) {
  const auto session = std::to_string(p.session);
  return p.online ? "online " + session + " " + std::to_string(p.age.count()) : "offline " + session;
}

result<presence> decode_presence(std::string_view text) {
  constexpr auto longest = milliseconds(std::chrono::years(100)).count();
  const auto word = words(text);
  presence p{.online = word[0] == "online"};
  if (text == "online" || text == "offline") return p;
  if (word.size() != (p.online ? 3 : 2) || (!p.online && word[0] != "offline"))
    return fail(errc::invalid_argument, R"(presence must be "online <session> <age>" or "offline <session>")");
  TRY(p.session, number(word[1]));
  if (!p.online) return p;
  TRY(const auto age, number(word[2]));
  p.age = milliseconds(std::min<std::uint64_t>(age, longest));
  return p;
}

std::string encode(const acknowledgement& a) {
  return std::to_string(a.number) + " " + (a.problem.empty() ? "ok" : a.problem);
}

result<acknowledgement> decode_acknowledgement(std::string_view text) {
  const auto space = text.find(' ');
  if (space == text.npos)
    return fail(errc::invalid_argument, "an acknowledgement must be \"<number> ok\" or \"<number> <problem>\"");
  TRY(const auto n, number(text.substr(0, space)));
  const auto rest = text.substr(space + 1);
  return acknowledgement{n, rest == "ok" ? std::string() : std::string(rest)};
}

}  // namespace evp::mqtt::control
