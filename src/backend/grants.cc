#include "backend/grants.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <unordered_map>

namespace evp::backend {
namespace {

// The public agent's request head has 2,176 bytes, of which it uses about 110 by itself.
constexpr std::size_t max_portless_bytes = 2000;
constexpr std::size_t max_instance_bytes = 64;

std::size_t request_bytes(const storage::signed_request& r) {
  std::size_t n = r.url.size();
  for (const auto& h : r.fields) n += h.name.size() + h.value.size() + 4;
  return n;
}

/// How this upload will be checked. Errors: checksum_required (the device can send the SHA-256, and has not).
result<verification> verification_of(const live_service& s, const wire::storage_token_request& r) {
  if (s.view.verify != verification::put_checksum) return s.view.verify;
  if (r.operation == wire::blob_operation::get) return verification::none;
  if (r.sha256) return verification::put_checksum;
  if (!r.accepts("sha256/1")) return verification::none;  // an agent that knows no better uploads all the same
  return fail(errc::checksum_required, "sha256",
              "this storage takes a file only with its SHA-256: compute it, then ask again with sha256");
}

/// Whether the device asks for a grant that it means to keep, and knows how to.
bool wants_offline(const wire::storage_token_request& r) {
  return r.offline && r.accepts("offline/1") && r.operation == wire::blob_operation::put;
}

}  // namespace

/// One request under way or answered, shared by all who wait for it.
struct grants::pending {
  pending(const io::executor& ex, milliseconds limit) : over(ex, limit) {}
  std::optional<wire::storage_token_response> answer;
  io::asio::steady_timer over;  // ends when the answer is there, or when the time is up
  steady_time began;
};

struct grants::memory {
  struct bucket {
    double tokens = 0;
    steady_time at;
  };
  std::unordered_map<std::string, std::shared_ptr<pending>> recent;
  std::deque<std::pair<steady_time, std::string>> order;  // of recent, oldest first
  std::unordered_map<std::string, bucket> rates;
};

grants::grants(io::executor ex, services& s, devices& d, ledger& l, const io::clock& clock, grant_limits limits)
    : ex_(ex),
      services_(s),
      devices_(d),
      ledger_(l),
      clock_(clock),
      limits_(limits),
      memory_(std::make_unique<memory>()),
      running_(ex) {}
grants::~grants() = default;

io::task<void> grants::stop() { return running_.stop(); }

result<void> grants::take_token(const std::string& device) {
  auto& rates = memory_->rates;
  const auto now = clock_.steady();
  const double rate = limits_.per_device_per_second, burst = limits_.per_device_burst;
  const auto filled = [&](const memory::bucket& b) {
    return std::min(burst, b.tokens + rate * std::chrono::duration<double>(now - b.at).count());
  };
  if (rates.size() >= limits_.max_rate_entries && !rates.contains(device)) {
    std::erase_if(rates, [&](const auto& r) { return filled(r.second) >= burst; });  // the same as not remembered
    if (rates.size() >= limits_.max_rate_entries)
      return fail(error(errc::rate_limited, "too many devices ask at once").after(milliseconds(2000)));
  }
  auto& b = rates.try_emplace(device, memory::bucket{burst, now}).first->second;
  b.tokens = filled(b);
  b.at = now;
  if (b.tokens < 1) {
    const milliseconds wait(std::int64_t(1000 * (1 - b.tokens) / rate) + 1);
    return fail(error(errc::rate_limited, "this device asks for more grants than its rate allows").after(wait));
  }
  b.tokens -= 1;
  return {};
}

io::task<wire::storage_token_response> grants::issue(std::string device, wire::storage_token_request r, wire::dialect) {
  const auto began = clock_.steady();
  wire::storage_token_response out;
  out.reqid = r.reqid;
  const auto refuse = [&](const error& e) {
    ++counters_.refused;
    out.failure = e;
    return out;
  };
  if (auto ok = devices_.check_active(device); !ok) co_return refuse(ok.error());

  auto& m = *memory_;
  while (!m.order.empty() &&
         (began - m.order.front().first > limits_.idempotent_for || m.order.size() > limits_.max_remembered)) {
    const auto old = m.recent.find(m.order.front().second);
    if (old != m.recent.end() && old->second->began == m.order.front().first) m.recent.erase(old);
    m.order.pop_front();
  }

  const std::string key = r.accept.empty() ? std::string() : device + "\n" + r.reqid;
  const auto known = key.empty() ? m.recent.end() : m.recent.find(key);
  std::shared_ptr<pending> p;
  if (known != m.recent.end()) {
    p = known->second;
    ++counters_.repeated;
  } else {
    if (auto ok = take_token(device); !ok) {
      ++counters_.rate_limited;
      co_return refuse(ok.error());
    }
    p = std::make_shared<pending>(ex_, limits_.answer_within);
    p->began = began;
    if (!key.empty()) {
      m.recent[key] = p;
      m.order.emplace_back(began, key);
    }
    running_.spawn(work(key, p, device, std::move(r)));
  }

  if (!p->answer) {
    boost::system::error_code ec;
    auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
    co_await p->over.async_wait(token);
  }
  if (on_answered) on_answered(std::chrono::duration<double>(clock_.steady() - began).count());
  if (!p->answer) {
    ++counters_.failed;
    out.failure =
        error(errc::deadline_exceeded, "the storage or the database is too slow: try again").after(milliseconds(2000));
    co_return out;
  }
  co_return *p->answer;
}

io::task<void> grants::work(std::string key, std::shared_ptr<pending> p, std::string device,
                            wire::storage_token_request r) {
  co_await io::asio::this_coro::throw_if_cancelled(false);  // stop() ends waits early; the work still ends in order
  wire::storage_token_response out;
  out.reqid = r.reqid;
  auto made = co_await make(std::move(device), std::move(r));
  if (made) {
    ++counters_.issued;
    out = std::move(*made);
  } else {
    ++counters_.failed;
    out.failure = made.error();
    const auto remembered = memory_->recent.find(key);  // a failure may be another thing the next time
    if (remembered != memory_->recent.end() && remembered->second == p) memory_->recent.erase(remembered);
  }
  p->answer = std::move(out);
  p->over.cancel();
}

/// What a stale service has signed never leaves: its row is refused in the transaction that would make it durable.
io::task<result<wire::storage_token_response>> grants::make(std::string device, wire::storage_token_request r) {
  for (int tries = 3; tries > 0; --tries) {
    CO_TRY(auto made, co_await make_once(device, r));
    if (made) co_return std::move(*made);
    CO_CHECK(co_await services_.refresh());
  }
  co_return fail(std::move(error(errc::unavailable, "the storage access service is being changed").after(seconds(1))));
}

io::task<result<std::optional<wire::storage_token_response>>> grants::make_once(std::string device,
                                                                                wire::storage_token_request r) {
  CO_TRY(const auto service, co_await services_.find_anywhere(r.key));
  r.offline = wants_offline(r);
  if (r.offline && !service->view.offline)
    co_return fail(errc::unsupported, "offline", "this storage gives no offline grants");
  if (r.instance.empty() || r.instance.size() > max_instance_bytes)
    co_return fail(errc::invalid_argument, "moduleInstanceId", "the module instance must have 1 to 64 characters");
  name_parts parts{device, r.instance, r.filename, clock_.now()};
  CO_TRY(const auto object, service->names.expand(parts));
  const auto limit = service->view.bounds.max_size;
  if (limit && r.size && *r.size > *limit && r.operation == wire::blob_operation::put)
    co_return fail(errc::too_large, "size",
                   "this storage takes at most " + std::to_string(*limit) + " bytes in a file");
  CO_TRY(const auto verify, verification_of(*service, r));
  co_await services_.prepare_once(service);

  auto row = std::make_shared<upload>();
  row->grant_id = ledger_.new_id();
  row->device = device;
  row->instance = r.instance;
  row->request_id = r.reqid;
  row->service_id = service->view.id;
  row->service_name = service->view.name;
  row->service_revision = service->view.revision;
  row->object = object;
  row->is_get = r.operation == wire::blob_operation::get;
  row->can_report = r.accepts("report/1");
  row->size_declared = r.size;
  row->verify = verify;
  if (verify == verification::put_checksum) row->sha256 = *r.sha256;
  row->issued_at = row->updated_at = clock_.now();
  row->offline = r.offline;

  const bool in_parts = goes_in_parts(*service, r, verify, limits_);
  if (in_parts && r.offline)
    co_return fail(errc::too_large, "size", "a file of this size goes in parts, and those have no offline grants");
  auto signing = in_parts ? plan(service, row, r) : sign(service, object, r);
  CO_TRY(auto out, co_await std::move(signing));
  row->expires_at = in_parts ? clock_.now() + limits_.parts_live_for : *out.expires_at;
  if (!r.accept.empty()) out.grant_id = row->grant_id;
  const auto written = co_await ledger_.issue(*row, limits_.offline_per_device);
  if ((!written || !*written) && in_parts) co_await abort(service, *row);
  if (!written) co_return fail(written.error());
  if (!*written) co_return std::nullopt;
  CO_CHECK(devices_.check_active(device));  // blocked while the row was being written
  co_return out;
}

storage::sign_spec grants::spec_of(const live_service& s, std::string object,
                                   const wire::storage_token_request& r) const {
  storage::sign_spec spec;
  spec.op = r.operation == wire::blob_operation::get ? storage::operation::get : storage::operation::put;
  spec.object = std::move(object);
  spec.lifetime = r.offline ? s.view.offline.value_or(s.view.expiration) : s.view.expiration;
  spec.portless_host = r.accept.empty();
  if (spec.op == storage::operation::get) return spec;
  spec.fields = s.view.headers;

  // What the storage can refuse by itself it shall; the rest is what the check of the upload finds.
  const auto& wanted = s.view.bounds;
  const auto by_form = s.driver->caps().by_form;
  const auto can = spec.portless_host ? s.view.enforced.without(by_form) : s.view.enforced;
  if (can.has(storage::bound::create_only)) spec.create_only = wanted.create_only;
  if (can.has(storage::bound::source_address)) spec.source_address = wanted.source_address;
  if (r.size && can.has(storage::bound::size))
    spec.size = r.size;
  else if (can.has(storage::bound::max_size))
    spec.max_size = wanted.max_size;
  if (s.view.verify == verification::put_checksum && r.sha256) {
    spec.sha256 = *r.sha256;
    spec.max_size.reset();  // what is known byte for byte needs no bound that may be another form of grant
  }
  return spec;
}

io::task<result<wire::storage_token_response>> grants::sign(std::shared_ptr<live_service> s, std::string object,
                                                            wire::storage_token_request r) const {
  const bool is_get = r.operation == wire::blob_operation::get;
  const bool is_older_agent = r.accept.empty();
  const auto caps = s->driver->caps();
  if (is_get && !caps.sign_get) co_return fail(errc::unsupported, "this storage offers no downloads");
  if (!is_get && r.size && *r.size > caps.max_put_bytes)
    co_return fail(errc::too_large, "size",
                   "the storage takes at most " + std::to_string(caps.max_put_bytes) +
                       (s->view.verify == verification::put_checksum && caps.parts
                            ? " bytes in one piece, as verify put-checksum demands; with verify head it takes more"
                            : " bytes in one upload"));

  auto spec = spec_of(*s, std::move(object), r);
  CO_TRY(auto made, co_await s->driver->sign(std::move(spec)));
  if (is_older_agent && request_bytes(made) > max_portless_bytes)
    co_return fail(errc::too_large, "filename",
                   "the signed URL is longer than this agent can send: use a shorter name");

  wire::storage_token_response out;
  out.reqid = r.reqid;
  out.operation = r.operation;
  out.expires_at = made.expires_at;
  if (!is_older_agent) out.expires_in = std::max(milliseconds(0), made.expires_at - clock_.now());
  out.offline = r.offline;
  const bool is_plain = made.method == "PUT" && made.body_prefix.empty() && made.body_suffix.empty();
  if (r.offline && !is_plain)
    co_return fail(errc::unsupported, "offline", "this storage takes no plain PUT, and others are not kept");
  if (!is_get && !is_plain) {
    CO_TRY(out.plan, plan_of_one_part(std::move(made), r));
  } else {
    out.url = std::move(made.url);
    for (auto& h : made.fields) out.headers.push_back({std::move(h.name), std::move(h.value)});
    if (!is_older_agent) out.expect = std::move(made.expect);
  }
  if (r.accepts("certificate/1")) out.certificate_id = s->view.certificate_id;
  co_return out;
}

wire::certificate_response grants::certificate(const std::string& device, const wire::certificate_request& r) const {
  wire::certificate_response out;
  out.reqid = r.reqid;
  out.certificate_id = r.certificate_id;
  if (auto ok = devices_.check_active(device); !ok) {
    out.failure = ok.error();
    return out;
  }
  auto pem = services_.certificate(r.certificate_id);
  if (pem) {
    out.pem = std::move(*pem);
  } else {
    out.failure = pem.error();
  }
  return out;
}

}  // namespace evp::backend
