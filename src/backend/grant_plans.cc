// Grants for uploads in parts: the backend begins, signs part by part, commits and aborts; the device only sends bytes.
#include <spdlog/spdlog.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "backend/grants.h"
#include "backend/policies.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr std::uint64_t mib = 1ULL << 20;
constexpr std::uint64_t least_part_bytes = 8 * mib;
constexpr std::size_t page_bytes = 64 * 1024;  // of a message's 128 KiB: JSON escapes and headers need room too
constexpr milliseconds storage_limit{3'000};   // of the 4 s in which a device is answered
constexpr milliseconds page_limit{1'500};      // a page ends after so long, where each signature is a call

std::uint64_t rounded_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }

/// The smallest part size with which the file fits the vendor's number of parts; 0 where none does.
std::uint64_t part_bytes_for(std::uint64_t size, const storage::part_limits& limits) {
  auto bytes = std::max(least_part_bytes, limits.min_bytes);
  bytes = std::max(bytes, rounded_up((size + limits.max_parts - 1) / limits.max_parts, mib));
  bytes = rounded_up(bytes, limits.multiple_of);
  return bytes <= limits.max_bytes ? bytes : 0;
}

unsigned part_count(std::uint64_t size, std::uint64_t part_bytes) {
  return unsigned((size + part_bytes - 1) / part_bytes);
}

std::size_t bytes_of(const wire::grant_part& p) {
  auto n = p.url.size() + p.body_prefix.size() + p.body_suffix.size() + 128;
  for (const auto& h : p.headers) n += h.name.size() + h.value.size() + 8;
  return n;
}

wire::grant_part to_part(storage::signed_request made, unsigned number, std::uint64_t offset, std::uint64_t length) {
  wire::grant_part part;
  part.number = number;
  part.offset = offset;
  part.length = length;
  part.method = std::move(made.method);
  part.url = std::move(made.url);
  for (auto& f : made.fields) part.headers.push_back({std::move(f.name), std::move(f.value)});
  part.expect = std::move(made.expect);
  part.body_prefix = std::move(made.body_prefix);
  part.body_suffix = std::move(made.body_suffix);
  return part;
}

storage::sign_spec spec_of_row(const live_service& s, const upload& row) {
  storage::sign_spec spec;
  spec.object = row.object;
  spec.lifetime = s.view.expiration;
  spec.fields = s.view.headers;
  if (!row.content_type.empty()) spec.fields.push_back({"Content-Type", row.content_type});
  spec.size = row.size_declared;
  return spec;
}

}  // namespace

bool grants::goes_in_parts(const live_service& s, const wire::storage_token_request& r, verification verify,
                           const grant_limits& limits) {
  if (r.operation != wire::blob_operation::put || !r.size || !r.accepts("plan/1") || !r.accepts("report/1"))
    return false;
  // These bounds are signed into the request of a whole object; no part could carry them.
  if (verify == verification::put_checksum || s.view.bounds.create_only || !s.view.bounds.source_address.empty())
    return false;
  const auto caps = s.driver->caps();
  return caps.parts && *r.size > std::min(limits.parts_above, caps.max_put_bytes);
}

result<wire::grant_plan> grants::plan_of_one_part(storage::signed_request made, const wire::storage_token_request& r) {
  if (!r.accepts("plan/1"))
    return fail(errc::unsupported, "this storage takes no plain PUT, and this device's agent can send nothing else");
  if (!r.size) return fail(errc::invalid_argument, "size", "is missing: this storage needs the file's size beforehand");
  wire::grant_plan out;
  out.part_bytes = std::max<std::uint64_t>(*r.size, 1);
  out.parts.push_back(to_part(std::move(made), 1, 0, *r.size));
  return out;
}

io::task<result<wire::storage_token_response>> grants::plan(std::shared_ptr<live_service> s,
                                                            std::shared_ptr<upload> row,
                                                            wire::storage_token_request r) const {
  const auto limits = *s->driver->caps().parts;
  row->part_bytes = part_bytes_for(*r.size, limits);
  if (row->part_bytes == 0)
    co_return fail(errc::too_large, "size", "the file is larger than what this storage takes, even in parts");
  auto beginning = s->driver->begin_parts(spec_of_row(*s, *row));
  auto begun = co_await io::with_deadline(std::move(beginning), storage_limit, "beginning the upload");
  CO_TRY(row->parts_id, std::move(begun));

  wire::storage_token_response out;
  out.reqid = r.reqid;
  out.plan.emplace();
  out.plan->part_bytes = row->part_bytes;
  out.plan->part_count = part_count(*r.size, row->part_bytes);
  out.plan->parallel = limits.in_order ? 1 : limits_.parts_in_parallel;
  auto expires = std::make_shared<timestamp>();
  auto parts = co_await sign_parts(s, *row, 1, out.plan->part_count, expires);
  if (!parts) {
    co_await abort(s, *row);
    co_return fail(parts.error());
  }
  out.plan->parts = std::move(*parts);
  out.expires_at = *expires;
  out.expires_in = std::max(milliseconds(0), *expires - clock_.now());
  if (r.accepts("certificate/1")) out.certificate_id = s->view.certificate_id;
  co_return out;
}

io::task<result<std::vector<wire::grant_part>>> grants::sign_parts(std::shared_ptr<live_service> s, upload row,
                                                                   unsigned first, unsigned last,
                                                                   std::shared_ptr<timestamp> expires_at) const {
  std::vector<wire::grant_part> out;
  std::size_t bytes = 0;
  const auto began = clock_.steady();
  for (unsigned n = first; n <= last && out.size() < wire::max_page_parts && bytes < page_bytes; ++n) {
    if (!out.empty() && clock_.steady() - began > page_limit) break;
    const storage::part_place place{n, (n - 1) * row.part_bytes,
                                    std::min(row.part_bytes, *row.size_declared - (n - 1) * row.part_bytes)};
    auto spec = spec_of_row(*s, row);
    CO_TRY(auto made, co_await s->driver->sign_part(std::move(spec), row.parts_id, place));
    if (out.empty() || made.expires_at < *expires_at) *expires_at = made.expires_at;
    auto part = to_part(std::move(made), n, place.offset, place.length);
    bytes += bytes_of(part);
    if (!out.empty() && bytes > page_bytes) break;
    out.push_back(std::move(part));
  }
  co_return out;
}

io::task<wire::grant_renew_response> grants::renew(std::string device, wire::grant_renew_request r) {
  wire::grant_renew_response out;
  out.reqid = r.reqid;
  auto ok = devices_.check_active(device);
  if (ok) ok = ledger_.check_reachable();
  if (ok) ok = take_token(device);
  if (!ok) {
    ++counters_.refused;
    audit_.refused(of_device(device), action::grant_renew, kind::object, "", ok.error().code());
    out.failure = ok.error();
    co_return out;
  }
  auto signing = sign_again(device, std::move(r));
  auto done = co_await io::with_deadline(std::move(signing), limits_.answer_within, "signing the parts");
  if (done) co_return std::move(*done);
  ++counters_.failed;
  audit_.refused(of_device(device), action::grant_renew, kind::object, "", done.error().code());
  out.failure = done.error();
  co_return out;
}

io::task<result<wire::grant_renew_response>> grants::sign_again(std::string device, wire::grant_renew_request r) {
  CO_TRY(const auto row, co_await ledger_.get(r.grant_id));
  const bool is_open = row.state == upload_state::issued || row.state == upload_state::uploaded;
  if (row.device != device || row.parts_id.empty() || !is_open)
    co_return fail(errc::not_found, "there is no upload in parts of that grant id: ask for a new grant");
  const auto service = services_.find_revision(row.service_id, row.service_revision);
  if (!service) co_return fail(errc::not_found, "the storage access service was changed: ask for a new grant");
  const auto count = part_count(*row.size_declared, row.part_bytes);
  if (r.last_part > count)
    co_return fail(errc::invalid_argument, "parts", "this upload has " + std::to_string(count) + " parts");

  CO_TRY(auto terms, co_await policies_.terms_of(device));
  const std::optional<std::string> storage(local_name(row.service_name));
  CO_CHECK(judge_storage(terms.fields, storage, wire::blob_operation::put));
  wire::grant_renew_response out;
  out.reqid = r.reqid;
  auto expires = std::make_shared<timestamp>();
  CO_TRY(out.parts, co_await sign_parts(service, row, r.first_part, r.last_part, expires));
  out.expires_in = std::max(milliseconds(0), *expires - clock_.now());
  auto prolonged = co_await ledger_.prolong(row, clock_.now() + limits_.parts_live_for, terms.grant);
  if (!prolonged && prolonged.error().code() == errc::not_found) {  // perhaps for a policy that is not known here yet
    CO_TRY(terms, co_await policies_.terms_of(device, true));
    CO_CHECK(judge_storage(terms.fields, storage, wire::blob_operation::put));
    prolonged = co_await ledger_.prolong(row, clock_.now() + limits_.parts_live_for, terms.grant);
  }
  CO_CHECK(std::move(prolonged));
  CO_CHECK(devices_.check_active(device));
  co_return out;
}

namespace {
/// The storage knows the upload no more: an earlier commit has gone through, whose answer was lost; or all is gone.
io::task<result<void>> look_for_object(std::shared_ptr<live_service> s, std::string object) {
  const auto found = co_await s->driver->stat(std::move(object));
  if (!found && found.error().code() == errc::not_found)
    co_return fail(errc::data_corrupt, "the storage knows neither the upload nor the object any more");
  if (!found && is_temporary(found.error().code())) co_return fail(found.error());
  co_return result<void>();
}
}  // namespace

io::task<result<void>> grants::commit(std::shared_ptr<live_service> s, upload row) const {
  auto listed = co_await s->driver->list_parts(row.object, row.parts_id);
  if (!listed && listed.error().code() == errc::not_found) {
    auto looked = co_await look_for_object(s, row.object);
    co_return looked;
  }
  CO_TRY(auto parts, std::move(listed));
  const auto count = part_count(*row.size_declared, row.part_bytes);
  // A storage that keeps no parts apart tells one, of all the bytes that have arrived.
  const bool is_whole = parts.size() == 1 && parts[0].size == *row.size_declared;
  for (unsigned n = 1; n <= count && !is_whole; ++n) {
    const auto wanted = std::min(row.part_bytes, *row.size_declared - (n - 1) * row.part_bytes);
    const bool is_there = n <= parts.size() && parts[n - 1].number == n;
    if (!is_there || parts[n - 1].size != wanted)
      co_return fail(errc::data_corrupt, "part " + std::to_string(n) + " of " + std::to_string(count) +
                                             (is_there ? " has another size than was granted" : " has not arrived"));
  }
  if (!is_whole) parts.resize(count);
  auto outcome = co_await s->driver->commit_parts(spec_of_row(*s, row), row.parts_id, std::move(parts));
  if (!outcome && outcome.error().code() == errc::not_found) {  // that commit ended between the two requests
    auto looked = co_await look_for_object(s, row.object);
    co_return looked;
  }
  co_return outcome;
}

struct grants::committing {
  explicit committing(const io::executor& ex) : over(ex, steady_time::max()) {}
  std::optional<result<void>> outcome;
  io::asio::steady_timer over;  // ends when the outcome is there
};

io::task<result<void>> grants::commit_once(std::shared_ptr<live_service> s, upload row) {
  const auto known = commits_.find(row.grant_id);
  const auto mine = known == commits_.end() ? std::make_shared<committing>(ex_) : known->second;
  if (known == commits_.end()) {
    commits_.emplace(row.grant_id, mine);
    auto work = [](grants& self, std::shared_ptr<committing> c, std::shared_ptr<live_service> of,
                   upload what) -> io::task<void> {
      const auto id = what.grant_id;
      auto done = co_await self.commit(std::move(of), std::move(what));
      c->outcome = std::move(done);
      self.commits_.erase(id);
      c->over.cancel();
    };
    running_.spawn(work(*this, mine, std::move(s), row));
  }
  boost::system::error_code ec;
  auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
  if (!mine->outcome) co_await mine->over.async_wait(token);
  if (!mine->outcome) co_return fail(errc::unavailable, "the storage is still putting the parts together");
  co_return *mine->outcome;
}

io::task<void> grants::abort(std::shared_ptr<live_service> s, upload row) const {
  auto dropping = s->driver->abort_parts(row.object, row.parts_id);
  const auto done = co_await io::with_deadline(std::move(dropping), storage_limit, "dropping the parts");
  if (!done) spdlog::warn("upload {}: its parts could not be dropped: {}", row.grant_id, done.error().message());
}

}  // namespace evp::backend
