// Engines are deprecated since OpenSSL 3.0, and still what Debian 12 reaches PKCS #11 with (ADR 43).
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/token_key.h"

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/ui.h>

#include "base/encoding.h"

namespace evp {
namespace {

using engine_reference = std::unique_ptr<ENGINE, decltype(&ENGINE_free)>;

tl::unexpected<error> bad_uri(const char* why) { return fail(errc::invalid_argument, "device-key", why); }

/// Calls `take` with name and decoded value of each attribute.
template <class F>
result<void> each_attribute(std::string_view all, char separator, F take) {
  while (!all.empty()) {
    const auto end = std::min(all.find(separator), all.size());
    const auto one = all.substr(0, end);
    all.remove_prefix(std::min(end + 1, all.size()));
    const auto equals = one.find('=');
    if (equals == one.npos) return bad_uri("write name=value in a PKCS #11 URI (RFC 7512)");
    TRY(auto value, percent_decode(one.substr(equals + 1)));
    CHECK(take(one.substr(0, equals), std::move(value)));
  }
  return {};
}

/// The file that pin-source names: "file:/etc/pin", "file:///etc/pin" or the path alone.
result<std::string> pin_file_of(std::string value) {
  if (value.starts_with("file:")) value.erase(0, 5);
  if (value.starts_with("///")) value.erase(0, 2);
  if (!value.starts_with('/') || value.starts_with("//"))
    return bad_uri("pin-source must be file:/PATH: the file that holds the PIN");
  return value;
}

/// The oldest of OpenSSL's errors, which is the token's own; the others say that something failed.
std::string reason_of_failure() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  std::string out = reason ? reason : "no reason given";
  ERR_clear_error();
  return out;
}

error cannot_open(const token_place& place, const secret& pin) {
  const auto reason = reason_of_failure();
  const auto says = [&](std::string_view part) { return reason.find(part) != std::string::npos; };
  if (says("PIN")) return error(errc::invalid_argument, place.uri + ": the token does not take the PIN: " + reason);
  if (says("module"))
    return error(errc::failed_precondition,
                 place.uri + ": the PKCS #11 module cannot be loaded: name its file, ?module-path=/usr/lib/...so");
  if (says("invalid id"))
    return error(errc::invalid_argument, place.uri + ": the engine does not understand this PKCS #11 URI (RFC 7512)");
  if (!says("not found")) return error(errc::unavailable, place.uri + ": the token does not give the key: " + reason);
  const auto label = [](const std::string& name, const char* otherwise) { return name.empty() ? otherwise : name; };
  return error(errc::not_found, place.uri + ": there is no such token, or no such key on it" +
                                    (pin.empty() ? ", or it wants a PIN (?pin-source=file:/PATH)" : "") +
                                    ". Make the key: pkcs11-tool --module MODULE --login --token-label '" +
                                    label(place.token, "TOKEN") + "' --keypairgen --key-type EC:prime256v1 --label '" +
                                    label(place.object, "device") + "' --id 01");
}

}  // namespace

result<token_place> parse_token_uri(std::string_view text) {
  constexpr std::string_view scheme = "pkcs11:";
  if (!text.starts_with(scheme)) return bad_uri("must be a PKCS #11 URI: pkcs11:token=...;object=...");
  const auto query = std::min(text.find('?'), text.size());
  token_place out;
  out.uri = text.substr(0, query);
  bool has_id = false;
  CHECK(each_attribute(text.substr(scheme.size(), query - scheme.size()), ';',
                       [&](std::string_view name, std::string value) -> result<void> {
                         if (name.starts_with("pin-"))
                           return bad_uri("the PIN's file comes after '?': ?pin-source=file:/PATH");
                         if (name == "token") out.token = std::move(value);
                         if (name == "object") out.object = std::move(value);
                         if (name == "id") has_id = true;
                         return {};
                       }));
  CHECK(each_attribute(text.substr(std::min(query + 1, text.size())), '&',
                       [&](std::string_view name, std::string value) -> result<void> {
                         if (name == "pin-source") {
                           TRY(out.pin_file, pin_file_of(std::move(value)));
                         } else if (name == "module-path") {
                           out.module = std::move(value);
                         } else if (name == "pin-value") {
                           return bad_uri("a PIN has no place in a URI: write it to a file, ?pin-source=file:/PATH");
                         } else {
                           return bad_uri("after '?' may be pin-source and module-path, joined by '&'");
                         }
                         return {};
                       }));
  if (out.object.empty() && !has_id) return bad_uri("name the key: object=... or id=...");
  return out;
}

result<device_key> open_token_key(const token_place& place, const secret& pin) {
  ENGINE_load_dynamic();
  const engine_reference engine(ENGINE_by_id("pkcs11"), ENGINE_free);
  const auto told = [&](const char* command, const char* value) {
    return ENGINE_ctrl_cmd_string(engine.get(), command, value, 0) == 1;
  };
  bool ready = engine && told("QUIET", nullptr);  // it would write to stderr, past the log
  ready = ready && (place.module.empty() || told("MODULE_PATH", place.module.c_str()));
  ready = ready && (pin.empty() || told("PIN", pin.reveal().c_str()));
  if (!ready || ENGINE_init(engine.get()) != 1) {
    ERR_clear_error();
    return fail(errc::failed_precondition,
                "OpenSSL has no engine \"pkcs11\" that can be used: install libengine-pkcs11-openssl");
  }
  // Nobody is asked at a terminal: UI_null() has no answers, and is not changed.
  auto* key = ENGINE_load_private_key(engine.get(), place.uri.c_str(), const_cast<UI_METHOD*>(UI_null()), nullptr);
  if (!key) {
    auto why = cannot_open(place, pin);
    ENGINE_finish(engine.get());
    return fail(std::move(why));
  }
  // The key's methods are the engine's, so the engine stays as long.
  return device_key(std::shared_ptr<EVP_PKEY>(key, [e = engine.get()](EVP_PKEY* k) {
    EVP_PKEY_free(k);
    ENGINE_finish(e);
  }));
}

}  // namespace evp
