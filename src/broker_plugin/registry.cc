#include "broker_plugin/registry.h"

#include <algorithm>
#include <cstring>

#include "base/crypto.h"
#include "base/names.h"

namespace evp::broker_plugin {
namespace {

namespace control = mqtt::control;

constexpr std::size_t uuid_length = 36;
constexpr std::string_view invented_prefix = "auto-";

bool invented_by_broker(std::string_view client_id) {
  return client_id.size() == invented_prefix.size() + uuid_length && client_id.starts_with(invented_prefix);
}

}  // namespace

std::size_t registry::hash_of_certificate::operator()(const certificate& c) const noexcept {
  std::size_t first = 0;
  std::memcpy(&first, c.data(), sizeof first);
  return first;
}

/// Of the ids that have passed control::decode() or certificate_id(); others are zeroes.
registry::certificate registry::as_certificate(std::string_view id) {
  certificate out{};
  if (id.size() == out.size()) std::copy(id.begin(), id.end(), out.begin());
  return out;
}

registry::device::device(const control::set_device& wanted)
    : has_token(wanted.token_sha256.size() == digest.size()), blocked(wanted.blocked) {
  if (has_token) std::copy(wanted.token_sha256.begin(), wanted.token_sha256.end(), digest.begin());
}

result<session> registry::identify(const login& l) const {
  if (l.username == control::backend_username) {
    const bool known = !l.certificate_name && l.password && !backend_password_.empty() &&
                       equal_in_constant_time(sha256(*l.password), sha256(backend_password_.reveal()));
    if (known) return session{"", l.client_id, false};
    return fail(errc::unauthenticated, "wrong password for the backend");
  }
  if (l.username == control::observer_username) {
    const bool known =
        l.password && !observer_sha256_.empty() && equal_in_constant_time(sha256(*l.password), observer_sha256_);
    if (known) return session{std::string(control::observer_username), l.client_id, false};
    return fail(errc::unauthenticated, "wrong token for an observer");
  }
  const auto& name = l.certificate_name ? l.certificate_name : l.username;
  if (!name || name->empty()) return fail(errc::unauthenticated, "neither a user name nor a client certificate");
  CHECK(check_scoped_name(*name, "the device id"));
  const auto at = devices_.find(*name);
  if (l.certificate_name) {
    if (l.username && !l.username->empty() && l.username != l.certificate_name)
      return fail(errc::unauthenticated, "the user name is not the certificate's common name");
    if (at == devices_.end()) return fail(errc::unauthenticated, "unknown device " + *name);
    if (revoked_.contains(as_certificate(l.certificate_id)))
      return fail(errc::permission_denied, "device " + *name + " came with a certificate that is revoked");
  } else {
    // The same work for an unknown device, so that answering takes as long.
    const bool known = at != devices_.end() && at->second.has_token;
    const std::string expected = known ? std::string(at->second.token_sha256()) : std::string(32, '\0');
    const bool equal = equal_in_constant_time(sha256(l.password.value_or("")), expected);
    if (!known || !equal) return fail(errc::unauthenticated, "unknown device or wrong token: " + *name);
  }
  if (at->second.blocked) return fail(errc::permission_denied, "device " + *name + " is blocked");
  return session{*name, l.client_id, l.certificate_name.has_value(), l.certificate_id};
}

result<void> registry::check_client_id(const login& l, const session& s) const {
  if (s.is_backend() || l.client_id == s.device) return {};
  if (devices_.contains(l.client_id))
    return fail(errc::permission_denied, "device " + s.device + " came with the client id of another device");
  if (const auto used = by_client_id_.find(l.client_id); used != by_client_id_.end()) {
    const auto& holder = sessions_.at(used->second);
    if (holder.is_backend() || holder.device != s.device)
      return fail(errc::permission_denied, "device " + s.device + " came with a client id that is in use by another");
  }
  if (l.clean_start || invented_by_broker(l.client_id)) return {};
  return fail(errc::permission_denied,
              "device " + s.device + " asked for a persistent session: the client id must be the device id then");
}

registry::admission registry::admit(const login& l) {
  admission answer{identify(l), {}, {}, false};
  if (answer.who) {
    auto allowed = check_client_id(l, *answer.who);
    if (!allowed) answer.who = fail(std::move(allowed).error());
  }
  auto end = [&](connection past) {
    if (auto ended = left(past)) answer.offline.push_back(std::move(*ended));
  };
  if (!answer.who) {
    end(l.from);
    return answer;
  }
  auto& who = *answer.who;
  const auto* known = find(l.from);
  if (known && known->device == who.device && known->client_id == who.client_id) return answer;
  who.number = next_session_++;
  who.began = l.at;
  end(l.from);  // a new connection at the address of one whose end was never told
  // The broker is about to replace a connection of this client id: its will, sent while it ends, must find nobody.
  if (const auto same = by_client_id_.find(who.client_id); same != by_client_id_.end()) end(same->second);
  if (who.is_device()) {
    if (const auto older = by_device_.find(who.device); older != by_device_.end()) {
      const auto past = older->second;
      answer.kick.push_back(sessions_.at(past).client_id);
      end(past);
    }
    // A device whose session is only renewed is not offline for a moment.
    std::erase_if(answer.offline, [&](const session& s) { return s.device == who.device; });
    answer.is_new = true;
    by_device_.emplace(who.device, l.from);
  }
  if (!who.certificate_id.empty()) by_certificate_.emplace(who.certificate_id, l.from);
  sessions_.emplace(l.from, who);
  by_client_id_.emplace(who.client_id, l.from);
  return answer;
}

std::optional<session> registry::left(connection from) {
  const auto at = sessions_.find(from);
  if (at == sessions_.end()) return std::nullopt;
  const auto s = at->second;
  sessions_.erase(at);
  by_client_id_.erase(s.client_id);
  replacing_.erase(from);
  const auto [first, last] = by_certificate_.equal_range(s.certificate_id);
  const auto its = std::find_if(first, last, [from](const auto& one) { return one.second == from; });
  if (its != last) by_certificate_.erase(its);
  if (!s.is_device()) return std::nullopt;
  by_device_.erase(s.device);
  return s;
}

const session* registry::find(connection from) const {
  const auto at = sessions_.find(from);
  return at == sessions_.end() ? nullptr : &at->second;
}

const std::string* registry::client_of(std::string_view device) const {
  const auto at = by_device_.find(device);
  return at == by_device_.end() ? nullptr : &sessions_.at(at->second).client_id;
}

std::vector<const session*> registry::online() const {
  std::vector<const session*> all;
  for (const auto& [device, from] : by_device_) all.push_back(&sessions_.at(from));
  return all;
}

void registry::kick(std::string_view device, std::vector<std::string>& out) const {
  if (const auto* client = client_of(device)) out.push_back(*client);
}

result<void> registry::set(const control::set_device& wanted, std::vector<std::string>& out) {
  device fresh(wanted);
  fresh.told_at = replacements_;
  const auto at = devices_.lower_bound(wanted.id);
  if (at == devices_.end() || at->first != wanted.id) {
    if (devices_.size() >= devices_max) return fail(errc::too_large, "more devices than one broker takes");
    // Somebody else may use the new device's name as a free client id.
    const auto squatter = by_client_id_.find(wanted.id);
    if (squatter != by_client_id_.end() && sessions_.at(squatter->second).device != wanted.id) out.push_back(wanted.id);
    devices_.emplace_hint(at, wanted.id, fresh);
    return {};
  }
  const auto live = by_device_.find(wanted.id);
  const bool connected = live != by_device_.end();
  const bool other_token = at->second.token_sha256() != fresh.token_sha256();
  if (connected && (wanted.blocked || (other_token && !sessions_.at(live->second).by_certificate)))
    kick(wanted.id, out);
  at->second = fresh;
  return {};
}

result<void> registry::revoke(const certificate& id, std::vector<std::string>& out) {
  if (revoked_.size() >= max_revoked_certificates && !revoked_.contains(id))
    return fail(errc::too_large, "more revoked certificates than one broker takes");
  const bool is_new = revoked_.insert_or_assign(id, replacements_).second;
  if (!is_new) return {};
  const auto [first, last] = by_certificate_.equal_range(std::string(id.begin(), id.end()));
  for (auto at = first; at != last; ++at) out.push_back(sessions_.at(at->second).client_id);
  return {};
}

result<std::vector<std::string>> registry::apply(connection backend, const control::command& c) {
  std::vector<std::string> out;
  if (const auto* wanted = std::get_if<control::set_device>(&c)) {
    CHECK(set(*wanted, out));
  } else if (const auto* gone = std::get_if<control::remove_device>(&c)) {
    kick(gone->id, out);
    devices_.erase(gone->id);
  } else if (const auto* observer = std::get_if<control::set_observer>(&c)) {
    if (observer_sha256_ != observer->token_sha256)
      for (const auto& [from, s] : sessions_)
        if (s.is_observer()) out.push_back(s.client_id);
    observer_sha256_ = observer->token_sha256;
  } else if (const auto* kicked = std::get_if<control::kick_device>(&c)) {
    const auto at = by_device_.find(kicked->id);
    const bool is_meant =
        kicked->session == 0 || (at != by_device_.end() && sessions_.at(at->second).number == kicked->session);
    if (is_meant) kick(kicked->id, out);
  } else if (const auto* revoked = std::get_if<control::revoke_certificate>(&c)) {
    CHECK(revoke(as_certificate(revoked->id), out));
  } else if (const auto* restored = std::get_if<control::restore_certificate>(&c)) {
    revoked_.erase(as_certificate(restored->id));
  } else if (std::holds_alternative<control::replace_begin>(c)) {
    replacing_[backend] = ++replacements_;
  } else {
    const auto at = replacing_.find(backend);
    if (at == replacing_.end()) return fail(errc::failed_precondition, "replace-end without replace-begin");
    std::erase_if(devices_, [&](const auto& row) {
      if (row.second.told_at >= at->second) return false;
      kick(row.first, out);
      return true;
    });
    std::erase_if(revoked_, [&](const auto& row) { return row.second < at->second; });
    replacing_.erase(at);
  }
  return out;
}

}  // namespace evp::broker_plugin
