#include "backend/enrolment.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/issued_token.h"
#include "backend/unix_ms.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr std::string_view token_kind = "evpenrol";

enrolment_token view_of(const sql::enrolment_token_row& r) {
  enrolment_token out{r.id,   std::nullopt, std::uint64_t(r.uses_left), from_ms(r.created_at), from_ms(r.expires_at),
                      r.group};
  if (!r.device.empty()) out.device = r.device;
  return out;
}

tl::unexpected<error> bad_token() {
  return fail(errc::unauthenticated, "this enrolment token is none of ours, or has expired, or has been used up");
}
tl::unexpected<error> no_certificate() {
  return fail(errc::not_found, "there is no certificate of that serial number of the device's");
}
tl::unexpected<error> no_authority() {
  return fail(errc::failed_precondition,
              "this backend issues no certificates to devices: start it with --device-authority");
}

/// Each renewal and each repeated answer is one more, and all are good until they expire.
result<void> store(sql::connection& c, const sql::certificate_row& row) {
  TRY(const bool key_revoked, sql::is_key_revoked(c, row.key_sha256));
  if (key_revoked)
    return fail(errc::invalid_argument, "csr", "a certificate for this key was revoked: make a fresh key");
  CHECK(sql::insert_certificate(c, row));
  TRY(const auto all, sql::list_certificates(c, row.device));
  const auto good = std::count_if(all.begin(), all.end(), [](const auto& one) { return one.revoked_at == 0; });
  if (std::size_t(good) <= enrolment::max_certificates && all.size() <= enrolment::max_listed) return {};
  return fail(error(errc::rate_limited, fmt::format("this device has {} certificates that are good: use one of them",
                                                    enrolment::max_certificates))
                  .after(std::chrono::hours(1)));
}

}  // namespace

io::task<result<created_enrolment_token>> enrolment::create_token(std::string tenant, std::optional<std::string> device,
                                                                  std::uint64_t uses, milliseconds lifetime, origin by,
                                                                  std::string group) {
  if (!authority_) co_return no_authority();
  sql::enrolment_token_row row;
  row.group = std::move(group);
  if (device) {
    auto scoped = new_scoped_name(tenant, *device, "a device's id");
    if (!scoped) co_return fail(std::move(std::move(scoped).error()).at("device"));
    row.device = std::move(*scoped);
  }
  if (uses < 1 || uses > max_uses || (device && uses != 1))
    co_return fail(errc::invalid_argument, "uses",
                   fmt::format("uses must be 1 for one device, and 1 to {} without \"device\"", max_uses));
  if (lifetime < min_token_lifetime || lifetime > max_token_lifetime)
    co_return fail(errc::invalid_argument, "expirationDuration",
                   fmt::format("expirationDuration must be {} to {}", format_iso8601_duration(min_token_lifetime),
                               format_iso8601_duration(max_token_lifetime)));
  auto made = issued_token::make(token_kind);
  row.id = std::move(made.id);
  row.tenant = std::move(tenant);
  row.uses_left = std::int64_t(uses);
  row.created_at = to_ms(clock_.now());
  row.expires_at = to_ms(clock_.now() + lifetime);
  created_enrolment_token out;
  out.text = std::move(made.text);
  row.token_sha256 = std::move(made.sha256);
  auto note = done_now(clock_, by, action::enrolment_create, kind::enrolment, audit_name(row.tenant, row.id),
                       fmt::format("tenant={} device={} uses={}", row.tenant, row.device, row.uses_left));
  std::function<result<void>(sql::connection&)> insert = [row, note](sql::connection& c) -> result<void> {
    CHECK(sql::forget_enrolment_tokens(c, row.created_at));
    CHECK(check_group(c, row.group));
    TRY(const auto n, sql::count_enrolment_tokens(c));
    if (std::size_t(n) >= max_tokens) return fail(errc::too_large, "there are too many enrolment tokens: delete some");
    return noted(c, note, sql::insert_enrolment_token(c, row));
  };
  CO_CHECK(co_await db_.run<void>(std::move(insert)));
  out.token = view_of(row);
  co_return out;
}

io::task<result<std::vector<enrolment_token>>> enrolment::list_tokens(std::string tenant) {
  using rows = std::vector<sql::enrolment_token_row>;
  std::function<result<rows>(sql::connection&)> read = [tenant](sql::connection& c) {
    return sql::list_enrolment_tokens(c, tenant);
  };
  CO_TRY(const auto found, co_await db_.run<rows>(std::move(read)));
  std::vector<enrolment_token> out;
  for (const auto& r : found) out.push_back(view_of(r));
  co_return out;
}

io::task<result<void>> enrolment::remove_token(std::string tenant, std::string id, origin by) {
  std::function<result<bool>(sql::connection&)> drop =
      [tenant, id, note = done_now(clock_, by, action::enrolment_remove, kind::enrolment, audit_name(tenant, id))](
          sql::connection& c) { return noted(c, note, sql::remove_enrolment_token(c, tenant, id)); };
  CO_TRY(const bool removed, co_await db_.run<bool>(std::move(drop)));
  if (!removed) co_return fail(errc::not_found, "there is no enrolment token of that id");
  co_return result<void>();
}

/// What one enrolment writes, all in one transaction.
struct enrolment::order {
  sql::enrolment_token_row token;
  std::string key_sha256;
  std::string device;
  bool is_repeated = false;
  sql::certificate_row certificate;
};

io::task<result<enrolled_device>> enrolment::enrol(secret token, std::string csr, std::optional<std::string> id,
                                                   origin by) {
  if (!authority_) co_return no_authority();
  const std::string token_id(id_of_token(token_kind, token.reveal()));
  auto request = signing_request::parse(csr);
  const std::string key = request ? request->key_sha256() : std::string();
  using looked_up = std::pair<std::optional<sql::enrolment_token_row>, std::optional<std::string>>;
  std::function<result<looked_up>(sql::connection&)> look = [token_id, key](sql::connection& c) -> result<looked_up> {
    looked_up out;
    TRY(out.first, sql::find_enrolment_token(c, token_id));
    TRY(out.second, sql::find_enrolled(c, token_id, key));
    return out;
  };
  CO_TRY(auto known, co_await db_.run<looked_up>(std::move(look)));
  // Whoever has no token learns nothing, not even about the request.
  const auto& row = known.first;
  const bool is_it = is_token(token.reveal(), row ? &row->token_sha256 : nullptr);
  if (!is_it || from_ms(row->expires_at) <= clock_.now()) co_return bad_token();
  if (!request) co_return fail(std::move(std::move(request).error()).at("csr"));

  auto o = std::make_shared<order>();
  o->token = *row;
  o->key_sha256 = key;
  o->is_repeated = known.second.has_value();
  if (o->is_repeated) {
    o->device = *known.second;
  } else if (!row->device.empty()) {
    o->device = row->device;
    if (id && *id != local_name(row->device))
      co_return fail(errc::invalid_argument, "id", "this enrolment token is for another device: leave \"id\" out");
  } else {
    auto named = new_scoped_name(row->tenant, id ? *id : "device-" + random_id(12), "a device's id");
    if (!named) co_return fail(std::move(std::move(named).error()).at("id"));
    o->device = std::move(*named);
    if (devices_.exists(o->device))
      co_return fail(
          errc::already_exists, "id",
          "there is a device of that id: a fleet's token enrols new ones only; make a token for that device");
  }

  enrolled_device out;
  out.device = o->device;
  auto issued = authority_->issue(*request, o->device, certificate_lifetime, clock_.now());
  if (!issued) co_return fail(std::move(std::move(issued).error()).at("id"));
  out.certificate = std::move(*issued);
  o->certificate = {out.certificate.serial,          o->device, row->id, key, to_ms(clock_.now()),
                    to_ms(out.certificate.not_after)};
  auto note = done_now(clock_, by, action::certificate_issue, kind::device, o->device,
                       fmt::format("serial={} token={}", out.certificate.serial, row->id));
  std::function<result<void>(sql::connection&)> write = [o, note](sql::connection& c) -> result<void> {
    if (!o->is_repeated) {
      TRY(const bool used, sql::use_enrolment_token(c, o->token.id));
      if (!used) return bad_token();
    }
    return noted(c, note, store(c, o->certificate));
  };
  CO_CHECK(co_await devices_.admit(o->device, std::move(write), by, o->token.group));
  co_return out;
}

io::task<result<enrolled_device>> enrolment::renew(std::string certificate, std::string csr, std::string signature,
                                                   origin by) {
  if (!authority_) co_return no_authority();
  CO_TRY(auto who, authority_->identify(certificate, csr, signature, clock_.now()));
  auto outcome = co_await renew_for(std::move(who), std::move(csr), std::move(by));
  co_return outcome;
}

io::task<result<enrolled_device>> enrolment::renew_shown(std::string certificate, std::string csr, origin by) {
  if (!authority_) co_return no_authority();
  CO_TRY(auto who, authority_->recognize(certificate, clock_.now()));
  auto outcome = co_await renew_for(std::move(who), std::move(csr), std::move(by));
  co_return outcome;
}

io::task<result<enrolled_device>> enrolment::renew_for(certificate_authority::holder who, std::string csr, origin by) {
  CO_CHECK(devices_.check_active(who.common_name));
  auto request = signing_request::parse(csr);
  if (!request) co_return fail(std::move(std::move(request).error()).at("csr"));
  enrolled_device out;
  out.device = who.common_name;
  CO_TRY(out.certificate, authority_->issue(*request, out.device, certificate_lifetime, clock_.now()));
  sql::certificate_row row{out.certificate.serial, out.device,          "",
                           request->key_sha256(),  to_ms(clock_.now()), to_ms(out.certificate.not_after)};
  // A device that was removed and made anew under the same name has none of the certificates from before.
  auto note = done_now(clock_, by, action::certificate_renew, kind::device, row.device,
                       fmt::format("serial={} of={}", row.serial, who.serial));
  std::function<result<void>(sql::connection&)> write = [row, note,
                                                         serial = who.serial](sql::connection& c) -> result<void> {
    TRY(const bool is_one, sql::hold_certificate(c, row.device, serial));
    if (!is_one) return fail(errc::unauthenticated, "this certificate is not one of the device's: enrol it anew");
    TRY(const bool revoked, sql::is_revoked(c, serial));
    if (revoked) return fail(errc::permission_denied, "this certificate is revoked: enrol the device anew");
    return noted(c, note, store(c, row));
  };
  CO_CHECK(co_await db_.run<void>(std::move(write)));
  co_return out;
}

io::task<result<revoked_device_certificate>> enrolment::revoke(std::string device, std::string serial, origin by) {
  if (!authority_) co_return no_authority();
  const auto id = authority_->id_of(serial);
  if (!id) co_return no_certificate();
  auto note = done_now(clock_, by, action::certificate_revoke, kind::device, device, "serial=" + serial);
  std::function<result<sql::certificate_row>(sql::connection&)> write =
      [device, serial, id = to_hex(*id), note,
       now = to_ms(clock_.now())](sql::connection& c) -> result<sql::certificate_row> {
    TRY(const bool there, sql::hold_certificate_alone(c, device, serial));
    if (!there) return no_certificate();
    TRY(const auto all, sql::list_certificates(c, device));
    auto row = *std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.serial == serial; });
    if (row.revoked_at != 0) return row;
    row.revoked_at = now;
    CHECK(noted(c, note, revocations::write(c, {id, serial, device, row.key_sha256, now, row.expires_at})));
    return row;
  };
  revoked_device_certificate out;
  CO_TRY(out.certificate, co_await db_.run<sql::certificate_row>(std::move(write)));
  std::set<std::string> ids;
  ids.insert(to_hex(*id));
  CO_TRY(out.broker, co_await revocations_.refresh(std::move(ids)));
  co_return out;
}

std::function<result<void>(sql::connection&)> enrolment::revoke_all_of(
    std::string device, std::shared_ptr<std::set<std::string>> ids) const {
  return [this, device = std::move(device), ids, now = to_ms(clock_.now())](sql::connection& c) -> result<void> {
    ids->clear();                              // of an attempt that is repeated
    CHECK(sql::hold_device(c, device, true));  // so that none is being issued
    TRY(const auto all, sql::list_certificates(c, device));
    for (const auto& one : all) {
      if (!authority_ || one.revoked_at != 0 || one.expires_at < now) continue;
      TRY(const auto id, authority_->id_of(one.serial));
      CHECK(revocations::write(c, {to_hex(id), one.serial, device, "", now, one.expires_at}));
      ids->insert(to_hex(id));
    }
    return {};
  };
}

io::task<result<std::vector<sql::certificate_row>>> enrolment::certificates(std::string device) {
  using rows = std::vector<sql::certificate_row>;
  std::function<result<rows>(sql::connection&)> read = [device](sql::connection& c) {
    return sql::list_certificates(c, device);
  };
  auto found = co_await db_.run<rows>(std::move(read));
  co_return found;
}

}  // namespace evp::backend
