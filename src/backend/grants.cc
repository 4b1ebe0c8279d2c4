#include "backend/grants.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <unordered_map>

#include "backend/policies.h"
#include "backend/provider_changes.h"
#include "backend/quota_refusals.h"
#include "base/names.h"

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

std::optional<std::uint64_t> smaller(const std::optional<std::uint64_t>& a, const std::optional<std::uint64_t>& b) {
  return a && b ? std::min(a, b) : a ? a : b;
}

std::string_view action_of(const wire::storage_token_request& r) {
  return r.operation == wire::blob_operation::get ? action::grant_get : action::grant_put;
}

}  // namespace

/// One request under way or answered, shared by all who wait for it.
struct grants::pending {
  std::optional<wire::storage_token_response> answer;
  std::unique_ptr<io::asio::steady_timer> over;  // ends when the answer is there, or when the time is up; gone then
  unsigned waiting = 0;
  const std::string* key = nullptr;  // in `recent`, while it is there
  steady_time began;
};

struct grants::memory {
  struct bucket {
    double tokens = 0;
    steady_time at;
  };
  std::unordered_map<std::string, std::shared_ptr<pending>> recent;
  std::deque<std::shared_ptr<pending>> order;  // of recent, oldest first, and some that are there no more
  std::unordered_map<std::string, bucket> rates;
  quota_refusals over_quota;

  void forget(pending& p) {
    const auto* key = std::exchange(p.key, nullptr);
    if (key) recent.erase(recent.find(*key));
  }
};

grants::grants(grants_context c)
    : ex_(c.ex),
      services_(c.services),
      devices_(c.devices),
      policies_(c.policies),
      changes_(c.changes),
      blocks_(c.blocks),
      ledger_(c.ledger),
      audit_(c.audit),
      clock_(c.clock),
      limits_(c.limits),
      memory_(std::make_unique<memory>()),
      running_(c.ex) {}
grants::~grants() = default;

io::task<void> grants::stop() { return running_.stop(); }

std::string_view grants::type_of(const std::string& device, const wire::storage_token_request& r) const {
  const auto service = services_.find(policies_.storage_named(device, r.key), tenant_of(device));
  if (!service) return "none";
  for (const auto& t : services_.types())
    if (t.name == (*service)->view.type) return t.name;  // outlives the service
  return "none";
}

// Only names of services that exist: a device must not choose how many different records there are.
void grants::note_refusal(const std::string& device, std::string_view what, const std::optional<std::string>& key,
                          const error& e) {
  const auto service = services_.find(policies_.storage_named(device, key), tenant_of(device));
  audit_.refused(of_device(device), what, kind::object, service ? (*service)->view.name : "", e.code());
}

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
  const auto type = type_of(device, r);
  const auto what = action_of(r);
  wire::storage_token_response out;
  out.reqid = r.reqid;
  const auto tell = [&](std::string_view outcome) {
    if (on_answered) on_answered({outcome, type, std::chrono::duration<double>(clock_.steady() - began).count()});
  };
  const auto refuse = [&](const error& e, std::string_view outcome) {
    ++counters_.refused;
    note_refusal(device, what, r.key, e);
    tell(outcome);
    out.failure = e;
    return out;
  };
  if (auto ok = devices_.check_active(device); !ok) co_return refuse(ok.error(), "refused");
  if (auto ok = ledger_.check_reachable(); !ok) co_return refuse(ok.error(), "refused");

  auto& m = *memory_;
  while (!m.order.empty() &&
         (began - m.order.front()->began > limits_.idempotent_for || m.order.size() > limits_.max_remembered)) {
    m.forget(*m.order.front());
    m.order.pop_front();
  }

  std::string key = r.accept.empty() ? std::string() : device + "\n" + r.reqid;
  std::shared_ptr<pending> p;
  if (const auto known = key.empty() ? m.recent.end() : m.recent.find(key); known != m.recent.end()) p = known->second;
  const bool known_before = p != nullptr;
  if (known_before) {
    ++counters_.repeated;
  } else {
    if (auto ok = take_token(device); !ok) {
      ++counters_.rate_limited;
      co_return refuse(ok.error(), "rate_limited");
    }
    p = std::make_shared<pending>();
    p->over = std::make_unique<io::asio::steady_timer>(ex_, limits_.answer_within);
    p->began = began;
    if (!key.empty()) {
      p->key = &m.recent.try_emplace(std::move(key), p).first->first;
      m.order.push_back(p);
    }
    running_.spawn(work(p, device, std::move(r)));
  }

  if (!p->answer) {
    boost::system::error_code ec;
    auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
    ++p->waiting;
    co_await p->over->async_wait(token);
    if (--p->waiting == 0 && p->answer) p->over.reset();
  }
  tell(!p->answer || p->answer->failure ? "failed" : known_before ? "repeated" : "issued");
  if (!p->answer) {
    ++counters_.failed;
    out.failure =
        error(errc::deadline_exceeded, "the storage or the database is too slow: try again").after(milliseconds(2000));
    co_return out;
  }
  co_return *p->answer;
}

io::task<void> grants::work(std::shared_ptr<pending> p, std::string device, wire::storage_token_request r) {
  co_await io::asio::this_coro::throw_if_cancelled(false);  // stop() ends waits early; the work still ends in order
  wire::storage_token_response out;
  out.reqid = r.reqid;
  const auto what = action_of(r);
  const auto storage = r.key;
  auto made = co_await make(device, std::move(r));
  if (!made) note_refusal(device, what, storage, made.error());
  if (!made) policies_.count_refusal(made.error().field());
  if (made) {
    ++counters_.issued;
    out = std::move(*made);
  } else {
    ++counters_.failed;
    out.failure = made.error();
    memory_->forget(*p);  // a failure may be another thing the next time
  }
  p->answer = std::move(out);
  p->over->cancel();
  if (p->waiting == 0) p->over.reset();
}

/// What a stale service or policy has granted never leaves: its row is refused in the transaction that would make it
/// durable.
io::task<result<wire::storage_token_response>> grants::make(std::string device, wire::storage_token_request r) {
  for (int tries = 3; tries > 0; --tries) {
    CO_TRY(auto made, co_await make_once(device, r));
    if (made) co_return std::move(*made);
    CO_CHECK(co_await services_.refresh());
    CO_CHECK(co_await changes_.load());
    CO_CHECK(co_await policies_.terms_of(device, true));
  }
  co_return fail(std::move(error(errc::unavailable, "the storage or the policy is being changed").after(seconds(1))));
}

io::task<result<std::optional<wire::storage_token_response>>> grants::make_once(std::string device,
                                                                                wire::storage_token_request r) {
  const std::string tenant(tenant_of(device));
  CO_TRY(auto terms, co_await policies_.terms_of(device));
  r.key = storage_of(terms.fields, r.key);
  CO_CHECK(judge_storage(terms.fields, r.key, r.operation));
  CO_TRY(const auto asked, co_await services_.find_anywhere(r.key, tenant));
  r.offline = wants_offline(r);
  name_parts parts{std::string(local_name(device)), r.instance, r.filename, clock_.now()};
  if (!tenant.empty()) parts.tenant = tenant;
  parts.group = local_name(terms.grant.group);
  const bool is_get = r.operation == wire::blob_operation::get;
  // By reference, of this frame: nothing is copied for a grant.
  const object_namer name_of = [&terms, &parts](const live_service& s) {
    return (terms.names ? *terms.names : s.names).expand(parts);
  };
  CO_TRY(const auto route, co_await changes_.route(asked, device, is_get, r.offline, name_of));
  const auto service = route.service;
  if (r.offline && !service->view.offline)
    co_return fail(errc::unsupported, "offline", "this storage gives no offline grants");
  if (r.instance.empty() || r.instance.size() > max_instance_bytes)
    co_return fail(errc::invalid_argument, "moduleInstanceId", "the module instance must have 1 to 64 characters");
  CO_TRY(const auto object, name_of(*service));
  CO_TRY(auto bounds, judge_upload(terms.fields, r, service->view.bounds.max_size, service->view.headers));
  const auto limit = service->view.bounds.max_size;
  if (limit && r.size && *r.size > *limit && r.operation == wire::blob_operation::put)
    co_return fail(errc::too_large, "size",
                   "this storage takes at most " + std::to_string(*limit) + " bytes in a file");
  CO_CHECK(memory_->over_quota.check(device, terms.grant, bounds.quota_bytes, clock_.steady()));
  CO_TRY(const auto verify, verification_of(*service, r));

  auto row = std::make_shared<upload>();
  row->grant_id = ledger_.new_id();
  row->device = device;
  row->instance = r.instance;
  row->request_id = r.reqid;
  row->service_id = service->view.id;
  row->service_name = service->view.name;
  row->service_revision = service->view.revision;
  row->object = object;
  row->is_get = is_get;
  route.write_to(*row);
  row->can_report = r.accepts("report/1");
  row->size_declared = r.size;
  row->verify = verify;
  if (verify == verification::put_checksum) row->sha256 = *r.sha256;
  row->issued_at = row->updated_at = clock_.now();
  row->offline = r.offline;
  row->max_size = bounds.max_size;
  row->quota_bytes = bounds.quota_bytes;
  row->content_type = std::move(bounds.content_type);
  if (!row->asked_service.empty()) CO_CHECK(blocks_.check(row->asked_service, row->device, row->instance));
  CO_CHECK(blocks_.check(row->service_name, row->device, row->instance));

  co_await services_.prepare_once(service);
  const bool in_parts = goes_in_parts(*service, r, verify, limits_);
  const bool is_older_agent = r.accept.empty();
  if (in_parts && r.offline)
    co_return fail(errc::too_large, "size", "a file of this size goes in parts, and those have no offline grants");
  auto signing = in_parts ? plan(service, row, std::move(r)) : sign(service, row, std::move(r));
  auto made = co_await std::move(signing);
  if (!made) changes_.note_refused(route);
  CO_TRY(auto out, std::move(made));
  row->expires_at = in_parts ? clock_.now() + limits_.parts_live_for : *out.expires_at;
  if (!is_older_agent) out.grant_id = row->grant_id;
  terms.grant.max_offline = limits_.offline_per_device;
  const auto written = co_await ledger_.issue(*row, terms.grant);
  if ((!written || !*written) && in_parts) co_await abort(service, *row);
  if (!written) {
    memory_->over_quota.note(device, terms.grant, row->quota_bytes, written.error(), clock_.steady());
    co_return fail(written.error());
  }
  if (!*written) co_return std::nullopt;
  CO_CHECK(devices_.check_active(device));  // blocked while the row was being written
  co_return out;
}

storage::sign_spec grants::spec_of(const live_service& s, const upload& row,
                                   const wire::storage_token_request& r) const {
  storage::sign_spec spec;
  spec.op = r.operation == wire::blob_operation::get ? storage::operation::get : storage::operation::put;
  spec.object = row.object;
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
    spec.max_size = smaller(wanted.max_size, row.max_size);
  if (can.has(storage::bound::content_type) && !by_form.has(storage::bound::content_type))
    spec.content_type = row.content_type;
  else if (!row.content_type.empty())
    spec.fields.push_back({"Content-Type", row.content_type});
  if (s.view.verify == verification::put_checksum && r.sha256) {
    spec.sha256 = *r.sha256;
    spec.max_size.reset();  // what is known byte for byte needs no bound that may be another form of grant
  }
  return spec;
}

io::task<result<wire::storage_token_response>> grants::sign(std::shared_ptr<live_service> s,
                                                            std::shared_ptr<upload> row,
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

  auto spec = spec_of(*s, *row, r);
  const bool create_only = spec.create_only;
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
  out.create_only = create_only && !is_older_agent;
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
  auto pem = services_.certificate(r.certificate_id, tenant_of(device));
  if (pem) {
    out.pem = std::move(*pem);
  } else {
    out.failure = pem.error();
  }
  return out;
}

}  // namespace evp::backend
