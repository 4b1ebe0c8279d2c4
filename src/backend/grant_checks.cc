// The other half of grants: what devices report, and what becomes of grants that nobody reports on.
#include <spdlog/spdlog.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "backend/grants.h"
#include "base/encoding.h"

namespace evp::backend {
namespace {

constexpr milliseconds ask_again{3'000};          // for a storage that cannot be asked now
constexpr milliseconds give_up_after{3'600'000};  // an overdue grant whose storage stays out of reach
constexpr std::size_t max_reason_bytes = 256;

std::string reason_of(const wire::transfer_report& r) {
  std::string text =
      is_utf8(r.message) && !has_control_characters(r.message) ? r.message.substr(0, max_reason_bytes) : "";
  while (!is_utf8(text)) text.pop_back();  // cut within a character
  if (r.http_status != 0) text += (text.empty() ? "" : " ") + ("(HTTP status " + std::to_string(r.http_status) + ")");
  return text.empty() ? "the device gave no reason" : text;
}

/// Why an object of that size is more than the service takes, or than the policy of then let the device send; empty if
/// it is not.
std::string beyond_limit(const live_service& s, const upload& u, std::uint64_t size) {
  const bool too_much = s.view.bounds.max_size && size > *s.view.bounds.max_size;
  if (!too_much && (!u.max_size || size <= *u.max_size)) return {};
  return "the object has " + std::to_string(size) + " bytes, more than the " +
         (too_much ? "service allows" : "device's policy allows");
}

}  // namespace

io::task<wire::transfer_report_response> grants::report(std::string device, wire::transfer_report r) {
  const auto began = clock_.steady();
  wire::transfer_report_response out;
  out.reqid = r.reqid;
  auto ok = devices_.check_active(device);
  if (ok) ok = ledger_.check_reachable();
  if (!ok) {
    out.failure = ok.error();
    co_return out;
  }
  auto settled = settle_report(std::move(device), std::move(r));
  const auto done = co_await io::with_deadline(std::move(settled), limits_.answer_within, "the check of the upload");
  if (done) {
    out.verified = *done;
  } else {
    auto e = done.error();
    if (is_temporary(e.code()) && !e.retry_after()) (void)std::move(e).after(ask_again);
    out.failure = std::move(e);
  }
  if (on_reported)
    on_reported({out.failure    ? "failed"
                 : out.verified ? "verified"
                                : "not_verified",
                 "", std::chrono::duration<double>(clock_.steady() - began).count()});
  co_return out;
}

io::task<result<bool>> grants::settle_report(std::string device, wire::transfer_report r) {
  CO_TRY(auto u, co_await ledger_.get(r.grant_id));
  if (u.device != device) co_return fail(errc::not_found, "there is no upload of that grant id");
  if (u.state == upload_state::verified) co_return true;
  if (u.state == upload_state::failed) {
    if (!r.done) co_return false;
    co_return fail(errc::data_corrupt, u.reason);
  }
  upload_outcome o;
  o.grant_id = u.grant_id;
  o.sha256 = from_hex(r.sha256) && r.sha256.size() == 64 ? r.sha256 : std::string();
  o.size_bytes = r.bytes;
  if (!r.done) {
    o.state = upload_state::failed;
    o.reason = reason_of(r);
    CO_CHECK(co_await ledger_.settle(std::move(o)));
    const auto service = services_.find_revision(u.service_id, u.service_revision);
    if (!u.parts_id.empty() && service) co_await abort(service, u);
    co_return false;
  }
  if (u.is_get) {  // the bytes are on the device: there is nothing to look at
    o.state = upload_state::verified;
    CO_CHECK(co_await ledger_.settle(std::move(o)));
    ++counters_.verified;
    co_return true;
  }
  if (r.http_status == 412 || r.http_status == 409) {
    auto outcome = co_await settle_existing(std::move(u), r.http_status);
    co_return outcome;
  }
  if (u.verify == verification::put_checksum) {
    auto outcome = co_await settle_by_checksum(std::move(u), std::move(r));
    co_return outcome;
  }
  // A check that comes out at once is one write; the others say "uploaded" first.
  o.state = upload_state::uploaded;
  o.by_device = true;
  const bool at_once = u.verify == verification::head && u.parts_id.empty();
  if (!at_once) { CO_CHECK(co_await ledger_.settle(o)); }
  auto outcome = co_await verify(std::move(u), o);
  if (at_once && !outcome && is_temporary(outcome.error().code())) { CO_CHECK(co_await ledger_.settle(std::move(o))); }
  co_return outcome;
}

io::task<result<bool>> grants::settle_existing(upload u, int http_status) {
  upload_outcome o;
  o.grant_id = u.grant_id;
  o.state = upload_state::failed;
  o.reason = "the storage has another object of that name (HTTP status " + std::to_string(http_status) + ")";
  const auto service = services_.find_revision(u.service_id, u.service_revision);
  if (service && u.verify == verification::head && u.size_declared && u.parts_id.empty()) {
    CO_TRY(const bool alone, co_await ledger_.is_only_one(u));
    const auto seen = co_await io::with_deadline(service->driver->stat(u.object), stat_limit(), "asking the storage");
    if (!seen && is_temporary(seen.error().code()))
      co_return fail(std::move(error(errc::unavailable, seen.error().message()).after(ask_again)));
    if (!seen && seen.error().code() == errc::not_found)  // the device was cut off before anything arrived
      o.reason = "the storage has no object of that name";
    const bool is_new = seen && seen->modified_at && *seen->modified_at + seconds(1) > u.issued_at;  // HTTP has seconds
    if (alone && is_new && seen->size == *u.size_declared) {
      o.state = upload_state::verified;
      o.reason.clear();
      o.size_bytes = seen->size;
    }
  }
  const bool is_ours = o.state == upload_state::verified;
  const auto reason = o.reason;
  CO_CHECK(co_await ledger_.settle(std::move(o)));
  ++(is_ours ? counters_.verified : counters_.mismatched);
  if (!is_ours) co_return fail(errc::already_exists, reason);
  co_return true;
}

io::task<result<bool>> grants::settle_by_checksum(upload u, wire::transfer_report r) {
  upload_outcome o;
  o.grant_id = u.grant_id;
  o.size_bytes = r.bytes;
  if (r.http_status < 200 || r.http_status > 299)
    o.reason = "the device reports success, but not the storage's: HTTP status " + std::to_string(r.http_status);
  else if (!r.sha256.empty() && r.sha256 != u.sha256)
    o.reason = "the device reports other bytes than those whose SHA-256 it declared";
  else if (u.size_declared && r.bytes != *u.size_declared)
    o.reason = "the device reports " + std::to_string(r.bytes) + " bytes, not the " + std::to_string(*u.size_declared) +
               " that it declared";
  else if (const auto service = services_.find_revision(u.service_id, u.service_revision))
    o.reason = beyond_limit(*service, u, r.bytes);
  o.state = o.reason.empty() ? upload_state::verified : upload_state::failed;
  CO_CHECK(co_await ledger_.settle(o));
  ++(o.reason.empty() ? counters_.verified : counters_.mismatched);
  if (!o.reason.empty()) co_return fail(errc::data_corrupt, o.reason);
  co_return true;
}

io::task<result<bool>> grants::verify(upload u, upload_outcome o) {
  const auto bytes = *o.size_bytes;
  o.state = upload_state::failed;
  const auto service = services_.find_revision(u.service_id, u.service_revision);
  if (!service) {
    o.reason = "the storage access service was changed or removed before the upload could be checked";
    CO_CHECK(co_await ledger_.settle(o));
    co_return fail(errc::failed_precondition, o.reason);
  }
  if (!u.parts_id.empty()) {
    auto committed = co_await commit_once(service, u);
    if (!committed && is_temporary(committed.error().code()))
      co_return fail(std::move(std::move(committed).error().after(ask_again)));
    if (!committed) {
      ++counters_.mismatched;
      o.reason = committed.error().message();
      CO_CHECK(co_await ledger_.settle(o));
      co_await abort(service, u);
      co_return fail(errc::data_corrupt, o.reason);
    }
  }
  if (u.verify != verification::head) co_return false;  // the row stays "uploaded": the device's word
  const auto seen = co_await io::with_deadline(service->driver->stat(u.object), stat_limit(), "asking the storage");
  if (!seen && seen.error().code() != errc::not_found) {
    ++counters_.unverifiable;
    const std::string text = "the storage cannot be asked whether the object arrived: " + seen.error().message();
    co_return fail(std::move(error(errc::unavailable, text).after(ask_again)));
  }
  auto too_much = seen ? beyond_limit(*service, u, seen->size) : std::string();
  if (seen && seen->size == bytes && too_much.empty()) {
    o.state = upload_state::verified;
    o.size_bytes = seen->size;
    CO_CHECK(co_await ledger_.settle(std::move(o)));
    ++counters_.verified;
    co_return true;
  }
  ++counters_.mismatched;
  if (seen && seen->size == bytes)
    o.reason = std::move(too_much);
  else
    o.reason = seen ? "the object has " + std::to_string(seen->size) + " bytes, not the " + std::to_string(bytes) +
                          " that the device sent"
                    : std::string("the object is not in the storage");
  if (seen) o.size_bytes = seen->size;
  CO_CHECK(co_await ledger_.settle(o));
  co_return fail(errc::data_corrupt, o.reason);
}

io::task<result<void>> grants::sweep_one(upload u) {
  upload_outcome o;
  o.grant_id = u.grant_id;
  o.state = upload_state::expired;
  const auto service = services_.find_revision(u.service_id, u.service_revision);
  if (u.is_get || u.verify != verification::head) {
    o.reason = "no report came before the grant expired";
  } else if (!service) {
    o.reason = "the storage access service was changed or removed before the upload could be checked";
  } else {
    const auto seen = co_await io::with_deadline(service->driver->stat(u.object), stat_limit(), "asking the storage");
    const auto wanted = u.size_declared ? u.size_declared : u.size_bytes;
    auto too_much = seen ? beyond_limit(*service, u, seen->size) : std::string();
    if (!too_much.empty()) {
      o.state = upload_state::failed;
      o.reason = std::move(too_much);
    } else if (seen && wanted && seen->size != *wanted) {
      o.state = upload_state::failed;
      o.reason = "the object has " + std::to_string(seen->size) + " bytes, not " + std::to_string(*wanted);
    } else if (seen) {
      o.state = upload_state::verified;
    } else if (seen.error().code() == errc::not_found) {
      o.reason = "nothing was stored before the grant expired";
    } else if (clock_.now() - u.expires_at < give_up_after) {
      co_return fail(seen.error());
    } else {
      o.reason = "the storage could not be asked: " + seen.error().message();
    }
    if (seen) o.size_bytes = seen->size;
    if (!u.parts_id.empty() && o.state != upload_state::verified) co_await abort(service, u);
  }
  const auto moved = co_await ledger_.settle(std::move(o));
  if (!moved) co_return fail(moved.error());
  co_return result<void>();
}

io::task<void> grants::sweep_worker(std::shared_ptr<std::vector<upload>> rows, std::shared_ptr<std::size_t> next,
                                    std::shared_ptr<std::size_t> settled) {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  while (*next < rows->size()) {
    const bool over = co_await io::is_cancelled();
    if (over) break;
    auto one = std::move((*rows)[(*next)++]);
    const auto done = co_await sweep_one(std::move(one));
    *settled += done.has_value();
  }
}

io::task<result<std::size_t>> grants::sweep_once() {
  CO_TRY(auto found, co_await ledger_.overdue(clock_.now() - limits_.sweep_after, limits_.sweep_batch));
  auto rows = std::make_shared<std::vector<upload>>(std::move(found));
  auto next = std::make_shared<std::size_t>(0);
  auto settled = std::make_shared<std::size_t>(0);
  auto left = std::make_shared<std::size_t>(std::min(limits_.sweep_parallel, rows->size()));
  if (*left == 0) co_return 0;
  auto over = std::make_shared<io::asio::steady_timer>(ex_, steady_time::max());
  auto one = [](grants& self, auto r, auto n, auto s, auto l, auto o) -> io::task<void> {
    co_await self.sweep_worker(r, n, s);
    if (--*l == 0) o->cancel();
  };
  for (std::size_t i = *left; i > 0; --i) running_.spawn(one(*this, rows, next, settled, left, over));
  boost::system::error_code ec;
  auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
  if (*left > 0) co_await over->async_wait(token);
  co_return *settled;
}

io::task<void> grants::sweep_forever(std::function<bool()> leads) {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (;;) {
    const bool slept = co_await io::sleep_for(limits_.sweep_every);
    if (!slept) co_return;
    if (!leads()) continue;
    const auto done = co_await sweep_once();
    if (!done) spdlog::error("overdue grants cannot be settled: {}", done.error().message());
  }
}

}  // namespace evp::backend
