#include "backend/services.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "backend/key_rotation.h"
#include "backend/service_checks.h"
#include "backend/service_fields.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "base/names.h"
#include "sql/changes_store.h"
#include "sql/provider_changes_store.h"

namespace evp::backend {
namespace {

constexpr std::string_view default_name = "default";
constexpr milliseconds prepare_limit{8'000};        // at creation
constexpr milliseconds prepare_first_limit{2'000};  // before a grant, whose device waits 5 s
constexpr milliseconds prepare_again{30'000};

std::string option_context(const std::string& service_id, const std::string& option) {
  return seal_context({sql::sealed_place::kind::service_option, service_id, option});
}

bool is_secret(storage::option_spec::kind k) { return k == storage::option_spec::kind::secret; }

service_view view_of(const sql::service_row& row, const storage::driver_type& type) {
  service_view v;
  v.id = row.id;
  v.revision = row.revision;
  v.name = row.name;
  v.type = row.type;
  for (const auto& o : row.options) {
    const auto spec =
        std::find_if(type.options.begin(), type.options.end(), [&](const auto& t) { return t.name == o.name; });
    const bool boolean = spec != type.options.end() && spec->type == storage::option_spec::kind::boolean;
    v.options.push_back({o.name, o.is_secret, boolean, o.is_secret ? std::string() : o.text});
  }
  for (const auto& h : row.headers) v.headers.push_back({h.name, h.text});
  v.certificate = row.certificate;
  v.certificate_id = certificate_id_of(row.certificate);
  v.expiration = milliseconds(row.expiration_ms);
  if (row.offline_ms > 0) v.offline = milliseconds(row.offline_ms);
  v.object_name_template = row.object_name_template;
  v.verify = verification_from_string(row.verify).value_or(verification::head);
  v.bounds.create_only = row.create_only;
  if (row.max_size > 0) v.bounds.max_size = std::uint64_t(row.max_size);
  v.bounds.source_address = row.source_address;
  v.created_at = timestamp(milliseconds(row.created_at));
  v.updated_at = timestamp(milliseconds(row.updated_at));
  return v;
}

tl::unexpected<error> no_service(std::string_view name) {
  name = local_name(name);
  return fail(errc::not_found, fmt::format("there is no storage access service \"{}\"", name.substr(0, 64)));
}

tl::unexpected<error> name_taken(std::string_view name) {
  name = local_name(name);
  if (name == default_name)
    return fail(
        errc::already_exists, "name",
        "there is a storage access service \"default\" already: give this one a \"name\", or change that one with PUT "
        "/v1/storage-access-services/default");
  return fail(
      errc::already_exists, "name",
      fmt::format("there is a storage access service \"{0}\" already: choose another \"name\", or change that one with "
                  "PUT /v1/storage-access-services/{0}",
                  name));
}

}  // namespace

/// An input that has passed every check.
struct services::checked {
  sql::service_row row;  // options not sealed yet: without an id there is no context
  storage::option_values options;
  service_view view;
  object_name_template names;
  std::unique_ptr<storage::driver> driver;
  std::vector<std::string> warnings;
  std::string endpoint;
  std::vector<storage::made_driver::other_endpoint> others;
  std::string ca_pem;
};

services::services(services_context context) : context_(std::move(context)) {}

std::span<const storage::driver_type> services::types() const {
  return context_.types.empty() ? storage::driver_types() : context_.types;
}

result<storage::option_values> services::check_options(const storage::driver_type& type,
                                                       const service_input& in) const {
  using kind = storage::option_spec::kind;
  const auto known = [&] {
    auto all = fmt::format("{}", fmt::join(service_fields, ", "));
    for (const auto& o : type.options) all.append(", ").append(o.name);
    return all;
  };
  storage::option_values out;
  for (const auto& [name, given] : in.options) {
    const auto spec =
        std::find_if(type.options.begin(), type.options.end(), [&](const auto& o) { return o.name == name; });
    if (spec == type.options.end())
      return fail(errc::invalid_argument, name.substr(0, 64),
                  fmt::format("unknown field for type {}; there are {}", type.name, known()));
    const bool wants_boolean = spec->type == kind::boolean;
    if (wants_boolean != std::holds_alternative<bool>(given))
      return fail(errc::invalid_argument, name,
                  fmt::format("{} must be {}", name, wants_boolean ? "true or false" : "text"));
    if (wants_boolean) {
      out.set(name, secret(std::get<bool>(given) ? "true" : "false"), false);
      continue;
    }
    const auto& text = std::get<secret>(given);
    if (text.size() > max_option_bytes)
      return fail(errc::invalid_argument, name, fmt::format("{} must have at most {} bytes", name, max_option_bytes));
    std::string line = text.reveal();  // keys come as PEM or JSON, which have lines
    if (is_secret(spec->type)) std::erase_if(line, [](char c) { return c == '\n' || c == '\r' || c == '\t'; });
    const bool unclean = !is_utf8(line) || has_control_characters(line);
    OPENSSL_cleanse(line.data(), line.size());
    if (unclean)
      return fail(errc::invalid_argument, name, fmt::format("{} must be UTF-8 text without control characters", name));
    if (!text.empty()) out.set(name, text, is_secret(spec->type));
  }
  for (const auto& o : type.options)
    if (o.required && !out.has(o.name))
      return fail(errc::invalid_argument, std::string(o.name), fmt::format("{} is missing: {}", o.name, o.help));
  return out;
}

result<std::unique_ptr<storage::driver>> services::make(const storage::driver_type& type,
                                                        const storage::option_values& options, checked& out,
                                                        std::string_view tenant) const {
  storage::driver_context context{context_.transport,  context_.clock,          out.ca_pem,
                                  context_.local_root, context_.local_base_url, context_.local_signing_key,
                                  context_.metadata,   context_.token_folders,  std::string(tenant)};
  if (!tenant.empty()) {  // who the machine is to its cloud is the operator's alone
    context.metadata = nullptr;
    context.token_folders = {};
  }
  TRY(auto made, type.make(options, context));
  out.endpoint = std::move(made.endpoint);
  out.others = std::move(made.others);
  out.warnings = std::move(made.warnings);
  return std::move(made.instance);
}

io::task<result<std::vector<std::string>>> services::judge_endpoints(
    const storage::driver_type& type, std::vector<storage::made_driver::other_endpoint> all) const {
  std::vector<std::string> warnings;
  // A type without an endpoint option (LOCAL) sends devices where the operator said, not where the user says.
  const bool user_chooses = std::any_of(type.options.begin(), type.options.end(),
                                        [](const auto& o) { return o.type == storage::option_spec::kind::url; });
  if (!context_.check_endpoint || !user_chooses) co_return warnings;
  for (const auto& one : all) {
    auto judged = co_await context_.check_endpoint(one.url);
    if (!judged) co_return fail(std::move(std::move(judged).error()).at(one.field));
    if (!judged->empty()) warnings.push_back(std::move(*judged));
  }
  co_return warnings;
}

io::task<result<services::checked>> services::check(service_input in, std::string tenant) const {
  const auto all = types();
  const auto type = std::find_if(all.begin(), all.end(), [&](const auto& t) { return t.name == in.type; });
  if (type == all.end()) {
    std::string there;
    for (const auto& t : all) there.append(there.empty() ? "" : ", ").append(t.name);
    co_return fail(errc::invalid_argument, "type", "type must be one of " + there);
  }
  CO_TRY(auto options, check_options(*type, in));
  CO_CHECK(check_headers(in.headers));
  CO_CHECK(check_certificate(in.certificate));
  CO_CHECK(check_bounds(in.bounds));
  CO_TRY(const auto verify, verification_from_string(in.verify.empty() ? "head" : in.verify));
  const auto& pattern = in.object_name_template;
  CO_TRY(auto names,
         object_name_template::parse(pattern.empty() ? default_object_name_template : std::string_view(pattern)));

  checked out{.options = std::move(options), .names = std::move(names), .ca_pem = in.certificate};
  CO_TRY(out.driver, make(*type, out.options, out, tenant));
  const auto caps = out.driver->caps();
  CO_TRY(const auto expiration, read_expiration(in.expiration_duration, caps.max_lifetime));
  CO_TRY(const auto offline, read_offline_duration(in.offline_duration, expiration, type->name, caps));

  // Before the trial: credentials may be fetched for it.
  auto places = out.others;
  places.push_back({"endpoint", out.endpoint});
  CO_TRY(const auto doubts, co_await judge_endpoints(*type, std::move(places)));
  out.warnings.insert(out.warnings.end(), doubts.begin(), doubts.end());

  // A trial signature shows what the driver thinks of headers and lifetime before the first device does.
  storage::sign_spec trial;
  trial.object = "evp-trial";
  trial.lifetime = offline.value_or(expiration);
  trial.fields = in.headers;
  CO_CHECK(check_verification(verify, type->name, caps));
  if (verify == verification::put_checksum) trial.sha256 = std::string(64, '0');
  trial.create_only = in.bounds.create_only && caps.enforces.has(storage::bound::create_only);
  if (caps.enforces.has(storage::bound::source_address)) trial.source_address = in.bounds.source_address;
  auto trial_signature = out.driver->sign(std::move(trial));
  auto tried = co_await io::with_deadline(std::move(trial_signature), prepare_limit, "a trial signature");
  if (!tried && tried.error().code() != errc::invalid_argument) {
    out.warnings.push_back("No grant could be signed yet; the service is stored all the same: " +
                           tried.error().message());
  } else if (!tried) {
    auto e = std::move(tried).error();
    co_return fail(e.field().empty() ? std::move(std::move(e).at("headers")) : std::move(e));
  }

  out.row.type = type->name;
  out.row.certificate = in.certificate;
  out.row.expiration_ms = expiration.count();
  out.row.offline_ms = offline.value_or(milliseconds(0)).count();
  out.row.object_name_template = out.names.text();
  out.row.verify = to_string(verify);
  out.row.create_only = in.bounds.create_only;
  out.row.max_size = std::int64_t(in.bounds.max_size.value_or(0));
  out.row.source_address = in.bounds.source_address;
  add_bound_warnings(in.bounds, verify, caps, out.warnings);
  for (const auto& h : in.headers) out.row.headers.push_back({h.name, h.value});
  co_return out;
}

io::task<result<saved_service>> services::create(service_input in, std::string tenant, origin by) {
  auto scoped = new_scoped_name(tenant, in.name.value_or(std::string(default_name)), "name");
  if (!scoped) co_return fail(std::move(std::move(scoped).error()).at("name"));
  const std::string name = std::move(*scoped);
  if (by_name_.contains(name)) co_return name_taken(name);
  if (by_name_.size() >= max_services) co_return fail(errc::too_large, "this backend's number of services is reached");
  CO_TRY(auto good, co_await check(std::move(in), std::move(tenant)));
  good.row.id = random_id(20);
  good.row.name = name;
  good.row.revision = 1;
  good.row.created_at = context_.clock.now().time_since_epoch().count();
  auto outcome = co_await save(std::make_shared<checked>(std::move(good)), nullptr, std::move(by));
  co_return outcome;
}

io::task<result<saved_service>> services::replace(std::string name, service_input in, origin by) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) co_return no_service(name);
  if (in.name && *in.name != local_name(name))
    co_return fail(errc::invalid_argument, "name",
                   "a service keeps its name: leave \"name\" out, or make a new service");
  const auto previous = found->second;
  std::string tenant(tenant_of(name));
  CO_TRY(auto good, co_await check(std::move(in), std::move(tenant)));
  good.row.id = previous->view.id;
  good.row.name = name;
  good.row.revision = previous->view.revision + 1;
  good.row.created_at = previous->view.created_at.time_since_epoch().count();
  auto outcome = co_await save(std::make_shared<checked>(std::move(good)), previous, std::move(by));
  co_return outcome;
}

io::task<result<saved_service>> services::save(std::shared_ptr<checked> c, std::shared_ptr<live_service> previous,
                                               origin by) {
  const auto offered = types();
  const auto type = std::find_if(offered.begin(), offered.end(), [&](const auto& t) { return t.name == c->row.type; });
  auto& row = c->row;
  row.updated_at = context_.clock.now().time_since_epoch().count();
  for (const auto& v : c->options.all())
    row.options.push_back({v.name,
                           v.is_secret ? context_.seals.seal(v.text, option_context(row.id, v.name)) : v.text.reveal(),
                           v.is_secret});
  auto record = done_now(context_.clock, by, previous ? action::service_replace : action::service_create, kind::service,
                         row.name, fmt::format("type={} revision={}", row.type, row.revision));
  std::function<result<void>(sql::connection&)> store =
      [row, fresh = !previous, record, key = context_.seals.id()](sql::connection& db) -> result<void> {
    CHECK(sql::check_master_key_id(db, key));
    sql::note_change(db, "service", row.name);
    return noted(db, record, fresh ? sql::insert_service(db, row) : sql::update_service(db, row));
  };
  const auto stored = co_await context_.db.run<void>(std::move(store));
  if (!stored && stored.error().code() == errc::already_exists) co_return name_taken(row.name);
  if (!stored) co_return fail(stored.error());

  auto live = std::make_shared<live_service>(live_service{view_of(row, *type), c->names, std::move(c->driver)});
  live->view.endpoint = c->endpoint;
  live->view.enforced = enforceable(live->driver->caps(), live->view.bounds);
  auto& place = by_name_[row.name];
  if (place) retire(std::exchange(place, nullptr));
  place = live;

  live->prepare_tried = context_.clock.steady();
  const auto prepared = co_await io::with_deadline(live->driver->prepare(), prepare_limit, "making the container");
  live->prepared = prepared.has_value();
  note(*live, prepared);
  if (!prepared)
    c->warnings.push_back(
        "The storage could not be reached or did not let the container be made; the service is stored all the same: " +
        prepared.error().message());
  saved_service out;
  out.service = live->view;
  out.warnings = std::move(c->warnings);
  co_return out;
}

result<std::shared_ptr<live_service>> services::revive(const sql::service_row& row) const {
  const auto all = types();
  const auto type = std::find_if(all.begin(), all.end(), [&](const auto& t) { return t.name == row.type; });
  if (type == all.end()) return fail(errc::unsupported, "its type is not offered by this version");
  TRY(auto names, object_name_template::parse(row.object_name_template));
  checked out{.names = std::move(names), .ca_pem = row.certificate};
  for (const auto& o : row.options) {
    if (!o.is_secret) {
      out.options.set(o.name, secret(o.text), false);
      continue;
    }
    TRY(auto text, context_.seals.open_sealed(o.text, option_context(row.id, o.name)));
    out.options.set(o.name, std::move(text), true);
  }
  TRY(auto driver, make(*type, out.options, out, tenant_of(row.name)));
  auto live =
      std::make_shared<live_service>(live_service{view_of(row, *type), std::move(out.names), std::move(driver)});
  live->view.endpoint = out.endpoint;
  live->view.enforced = enforceable(live->driver->caps(), live->view.bounds);
  return live;
}

io::task<result<void>> services::take_over(bool at_start) {
  std::function<result<std::vector<sql::service_row>>(sql::connection&)> read = sql::list_services;
  CO_TRY(const auto rows, co_await context_.db.run<std::vector<sql::service_row>>(std::move(read)));
  std::erase_if(by_name_, [&](const auto& known) {
    const bool is_there =
        std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.name == known.first; });
    if (!is_there) retire(known.second);
    return !is_there;
  });
  for (const auto& row : rows) {
    const auto known = by_name_.find(row.name);
    const bool is_same = known != by_name_.end() && known->second->view.id == row.id;
    if (is_same && known->second->view.revision >= row.revision) continue;  // read before a change of our own
    auto live = revive(row);
    if (known != by_name_.end()) {
      retire(known->second);
      by_name_.erase(known);
    }
    if (live) {
      by_name_[row.name] = std::move(*live);
      continue;
    }
    if (at_start && live.error().code() == errc::data_corrupt)
      co_return fail(std::move(std::move(live).error()).during("storage access service " + row.name));
    spdlog::error("storage access service {} is out of use: {}", row.name, live.error().message());
  }
  co_return result<void>();
}

void services::stop() {
  for (const auto& [name, s] : by_name_) s->driver->retire();
  for (const auto& s : retired_) s->driver->retire();
}

result<service_view> services::get(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return no_service(name);
  return found->second->view;
}

result<service_health> services::health(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return no_service(name);
  const auto& s = *found->second;
  if (const auto fetching = s.driver->health(); fetching && !fetching->healthy)
    return service_health{false, fetching->code, fetching->reason, fetching->since};
  auto h = s.preparation;
  if (h.since == timestamp()) h.since = s.view.updated_at;  // loaded, and not used yet
  return h;
}

std::vector<service_view> services::list(std::string_view tenant) const {
  std::vector<service_view> out;
  for (const auto& [name, s] : by_name_)
    if (tenant_of(name) == tenant) out.push_back(s->view);
  return out;
}

io::task<result<void>> services::remove(std::string name, origin by) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) co_return no_service(name);
  const auto live = found->second;
  std::function<result<bool>(sql::connection&)> drop =
      [id = live->view.id, name,
       note = done_now(context_.clock, by, action::service_remove, kind::service, name)](sql::connection& c) {
        if (auto ok = sql::check_takes_no_part(c, id); !ok) return result<bool>(fail(ok.error()));
        sql::note_change(c, "service", name);
        return noted(c, note, sql::remove_service(c, id));
      };
  CO_CHECK(co_await context_.db.run<bool>(std::move(drop)));
  const auto still = by_name_.find(name);
  if (still != by_name_.end() && still->second->view.id == live->view.id) {
    retire(still->second);
    by_name_.erase(still);
  }
  co_return result<void>();
}

void services::note(live_service& s, const result<void>& prepared) const {
  auto& h = s.preparation;
  const auto since = h.healthy == prepared.has_value() && h.since != timestamp() ? h.since : context_.clock.now();
  h = {.healthy = prepared.has_value(), .since = since};
  if (prepared) return;
  h.code = prepared.error().code();
  h.reason = prepared.error().message();
}

void services::retire(std::shared_ptr<live_service> s) {
  s->driver->retire();
  if (retired_.size() >= max_retired) retired_.erase(retired_.begin());
  retired_.push_back(std::move(s));
}

result<std::shared_ptr<live_service>> services::find(const std::optional<std::string>& key,
                                                     std::string_view tenant) const {
  const bool named = key && !key->empty();
  const auto scoped = scoped_name(tenant, named ? std::string_view(*key) : default_name);
  if (!scoped) return no_service(*key);
  const auto found = by_name_.find(*scoped);
  if (found != by_name_.end()) return found->second;
  if (named) return no_service(*key);
  return fail(errc::not_found, "no default storage is configured: name one, or ask the operator to configure it");
}

io::task<result<std::shared_ptr<live_service>>> services::find_anywhere(std::optional<std::string> key,
                                                                        std::string tenant) {
  auto found = find(key, tenant);
  const auto now = context_.clock.steady();
  if (found || (looked_up_ && now - *looked_up_ < seconds(1))) co_return found;
  looked_up_ = now;
  CO_CHECK(co_await refresh());
  co_return find(key, tenant);
}

std::shared_ptr<live_service> services::find_revision(std::string_view id, std::int64_t revision) const {
  const auto is_it = [&](const std::shared_ptr<live_service>& s) {
    return s->view.id == id && s->view.revision == revision;
  };
  for (const auto& [name, s] : by_name_)
    if (is_it(s)) return s;
  const auto found = std::find_if(retired_.begin(), retired_.end(), is_it);
  return found == retired_.end() ? nullptr : *found;
}

result<std::string> services::certificate(std::string_view certificate_id, std::string_view tenant) const {
  for (const auto& [name, s] : by_name_)
    if (tenant_of(name) == tenant && !s->view.certificate.empty() && s->view.certificate_id == certificate_id)
      return s->view.certificate;
  return fail(errc::not_found, "no storage access service has a certificate of that id");
}

io::task<void> services::prepare_once(std::shared_ptr<live_service> s) {
  const auto now = context_.clock.steady();
  if (s->prepared || (s->prepare_tried && now - *s->prepare_tried < prepare_again)) co_return;
  s->prepare_tried = now;
  const auto done = co_await io::with_deadline(s->driver->prepare(), prepare_first_limit, "making the container");
  s->prepared = done.has_value();
  note(*s, done);
  if (!done) spdlog::warn("storage access service {}: {}", s->view.name, done.error().message());
}

}  // namespace evp::backend
