#include "backend/backend.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <set>

#include "backend/backup.h"
#include "backend/revocations.h"
#include "backend/shadow_copies.h"
#include "base/crypto.h"
#include "base/names.h"
#include "sql/keys_store.h"

namespace evp::backend {
namespace {

constexpr std::size_t key_bytes = 32;

/// The key of that name; at the first start it is what `made` is, sealed.
io::task<result<secret>> stored_key(sql::database& db, const sealer& seals, std::string name, secret made) {
  const std::string context = seal_context({sql::sealed_place::kind::key, name, ""});
  const std::string fresh = seals.seal(made, context);
  std::function<result<std::string>(sql::connection&)> work = [name, fresh](sql::connection& c) {
    return sql::insert_key_if_missing(c, name, fresh);
  };
  CO_TRY(const auto sealed, co_await db.run<std::string>(std::move(work)));
  co_return seals.open_sealed(sealed, context);
}

secret fresh_key() { return secret(random_bytes(key_bytes)); }

constexpr milliseconds forget_every{60'000};
constexpr milliseconds forget_pause{50};  // between batches: others want the database too

io::task<void> forget_forever(ledger& l, const io::clock& clock, milliseconds retention, const replica& self) {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool on = true; on;) {
    if (!self.leads()) {
      on = co_await io::sleep_for(forget_every);
      continue;
    }
    const auto forgotten = co_await l.forget(clock.now() - retention);
    if (!forgotten) spdlog::error("old uploads cannot be forgotten: {}", forgotten.error().message());
    const bool more = forgotten && *forgotten == ledger::max_forgotten;
    on = co_await io::sleep_for(more ? forget_pause : forget_every);
  }
}

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

struct backend::parts {
  parts(io::executor ex, http::transport& transport, const io::clock& clock, backend_options o, sealer s,
        std::unique_ptr<sql::database> d)
      : options(std::move(o)),
        clock(clock),
        seals(std::move(s)),
        db(std::move(d)),
        local_root(options.data_dir / "local"),
        access(*db, clock),
        audit(*db, clock),
        services(services_context{*db, seals, transport, clock, local_root, options.local_base_url, secret(),
                                  options.check_endpoint, options.driver_types, options.metadata,
                                  options.token_folders}),
        devices(*db, clock),
        device_groups(*db, clock),
        policies(*db, services, devices, clock),
        revocations(*db, clock),
        enrolment(*db, devices, revocations, clock),
        ledger(*db, clock, outbox),
        provider_changes(*db, services, ledger, clock),
        blocks(*db, clock),
        grants(grants_context{ex, services, devices, policies, provider_changes, blocks, ledger, audit, clock,
                              options.limits}),
        modules(modules::context{*db, disk, clock, options.data_dir / "modules", options.public_base_url, secret()}),
        states(*db, clock),
        deployments(*db, devices, modules, states, clock),
        commands(ex, *db, clock, devices, states),
        hooks(hooks_context{*db, seals, clock, outbox, options.check_endpoint}),
        roll_calls(roll_calls_context{ex, *db, clock, [this](const std::string& id) { return states.online(id); },
                                      [this](std::string id) { return devices.tell_again(std::move(id)); }}),
        self(replica_context{*db, clock, [this] { on_uploads_changed(); }, [this] { outbox.notify(); }}),
        deliveries(ex, hook_deliveries_context{*db, hooks, outbox, transport, clock, options.write_hook,
                                               options.deliveries, [this] { return self.leads(); }}),
        copies(ex, shadow_context{*db,
                                  services,
                                  ledger,
                                  provider_changes,
                                  transport,
                                  clock,
                                  options.data_dir,
                                  [this] { return self.leads(); },
                                  {}}),
        background(ex) {}

  void on_uploads_changed() {
    ledger.changed().notify();
    outbox.notify();
  }

  backend_options options;
  const io::clock& clock;
  sealer seals;
  bool rotating = false;
  io::pool disk{1};
  std::unique_ptr<sql::database> db;
  io::fs::path local_root;
  secret local_signing_key;
  class access access;
  class audit audit;
  class services services;
  class devices devices;
  class device_groups device_groups;
  class policies policies;
  class revocations revocations;
  class enrolment enrolment;
  signal outbox;
  class ledger ledger;
  class provider_changes provider_changes;
  class blocks blocks;
  class grants grants;
  class modules modules;
  class states states;
  class deployments deployments;
  class commands commands;
  upload_watches watches;
  class hooks hooks;
  class roll_calls roll_calls;
  replica self;
  hook_deliveries deliveries;
  shadow_copies copies;
  io::group background;
};

backend::backend(std::unique_ptr<parts> p)
    : parts_(std::move(p)),
      options(parts_->options),
      access(parts_->access),
      audit(parts_->audit),
      services(parts_->services),
      devices(parts_->devices),
      enrolment(parts_->enrolment),
      revocations(parts_->revocations),
      ledger(parts_->ledger),
      grants(parts_->grants),
      modules(parts_->modules),
      states(parts_->states),
      deployments(parts_->deployments),
      commands(parts_->commands),
      watches(parts_->watches),
      hooks(parts_->hooks),
      provider_changes(parts_->provider_changes),
      policies(parts_->policies),
      device_groups(parts_->device_groups),
      blocks(parts_->blocks),
      roll_calls(parts_->roll_calls),
      database(*parts_->db) {}

backend::~backend() = default;

result<std::unique_ptr<backend>> backend::open(io::executor ex, http::transport& transport, const io::clock& clock,
                                               backend_options options) {
  CHECK(io::make_directories(options.data_dir));
  options.public_base_url = without_slash(options.public_base_url);
  options.local_base_url =
      without_slash(options.local_base_url.empty() ? options.public_base_url : options.local_base_url);
  if (options.database_url.empty()) options.database_url = database_url_in(options.data_dir);
  if (!options.master_key) options.master_key = master_key_source::file(master_key_file_in(options.data_dir));
  TRY(auto seals, sealer::open(*options.master_key));
  TRY(auto db, sql::database::open(ex, options.database_url));
  auto made = std::make_unique<parts>(ex, transport, clock, std::move(options), std::move(seals), std::move(db));
  CHECK(io::make_directories(made->local_root));
  return std::unique_ptr<backend>(new backend(std::move(made)));
}

void backend::set_gateway(device_gateway* gateway) {
  revocations.set_gateway(gateway);
  devices.set_gateway(gateway);
  deployments.set_gateway(gateway);
  commands.set_gateway(gateway);
}

io::task<result<void>> backend::start() {
  parts_->self.set_take_over([this](std::vector<sql::change_row> changes) { return apply(std::move(changes)); },
                             [this] { return reload(); });
  CO_CHECK(co_await parts_->self.begin());
  CO_CHECK(co_await use_key_in_force(database, parts_->seals));
  CO_TRY(parts_->local_signing_key, co_await stored_key(database, parts_->seals, "local store URLs", fresh_key()));
  CO_TRY(auto module_key, co_await stored_key(database, parts_->seals, "module URLs", fresh_key()));
  services.set_local_signing_key(parts_->local_signing_key);
  modules.set_signing_key(std::move(module_key));
  if (options.device_authority) {
    auto fresh = certificate_authority::make(enrolment::authority_name, parts_->clock.now());
    CO_TRY(const auto kept, co_await stored_key(database, parts_->seals, "device authority", std::move(fresh)));
    CO_TRY(auto authority, certificate_authority::load(kept));
    enrolment.set_authority(std::move(authority));
  }
  CO_CHECK(co_await access.load());
  CO_CHECK(co_await blocks.load());
  CO_CHECK(co_await services.load());
  CO_CHECK(co_await provider_changes.load());
  CO_CHECK(co_await revocations.load());
  CO_CHECK(co_await devices.load());
  CO_CHECK(co_await modules.load());
  CO_CHECK(co_await states.load());
  CO_CHECK(co_await hooks.load());
  CO_CHECK(co_await policies.load());
  const auto leads_now = [this] { return leads(); };
  parts_->background.spawn(parts_->self.run_forever());
  parts_->background.spawn(roll_calls.beat_forever());
  parts_->background.spawn(grants.sweep_forever(leads_now));
  parts_->background.spawn(states.flush_forever(leads_now));
  parts_->background.spawn(revocations.forget_forever());
  parts_->background.spawn(audit.write_forever());
  parts_->background.spawn(audit.truncate_forever(options.audit_retention));
  parts_->background.spawn(parts_->deliveries.run_forever());
  parts_->background.spawn(provider_changes.watch_forever());
  parts_->background.spawn(parts_->copies.run_forever());
  parts_->background.spawn(forget_forever(ledger, parts_->clock, options.ledger_retention, parts_->self));
  co_return result<void>();
}

void backend::end_watches() { ledger.changed().close(); }

io::task<void> backend::stop() {
  end_watches();
  co_await parts_->background.stop();
  co_await roll_calls.stop();
  co_await grants.stop();
  co_await parts_->deliveries.stop();
  co_await parts_->copies.stop();
  services.stop();
  const auto told = co_await audit.flush();
  if (!told) spdlog::error("refusals cannot be written to the audit: {}", told.error().message());
  if (!leads()) co_return;
  const auto written = co_await states.flush();
  if (!written) spdlog::error("what devices report cannot be stored: {}", written.error().message());
  co_await parts_->self.stop();
}

bool backend::leads() const { return parts_->self.leads(); }

io::task<result<void>> backend::apply(std::vector<sql::change_row> changes) {
  std::set<std::string> topics, changed_devices;
  std::set<std::string> policies_of, revoked;
  for (auto& c : changes) {
    if (c.topic == "device") changed_devices.insert(std::move(c.name));
    if (c.topic == "revocation") revoked.insert(std::move(c.name));
    if (c.topic == "policy") policies_of.insert(std::move(c.name));
    topics.insert(std::move(c.topic));
  }
  // What takes something away comes first; of that what only reads before devices, whose broker may take its time.
  if (topics.contains("block")) CO_CHECK(co_await blocks.load());
  if (topics.contains("access")) CO_CHECK(co_await access.load());
  if (!revoked.empty()) CO_CHECK(co_await revocations.refresh(std::move(revoked)));
  if (!changed_devices.empty()) {
    CO_TRY(const auto gone, co_await devices.refresh(std::move(changed_devices)));
    for (const auto& id : gone) states.forget(id);
  }
  if (topics.contains("service")) CO_CHECK(co_await services.refresh());
  if (topics.contains("provider change")) CO_CHECK(co_await provider_changes.load());
  if (topics.contains("module")) CO_CHECK(co_await modules.refresh());
  if (topics.contains("hook")) CO_CHECK(co_await hooks.load());
  for (const auto& tenant : policies_of) CO_CHECK(co_await policies.refresh(tenant));
  if (topics.contains("roll-call")) roll_calls.on_called();
  if (topics.contains("roll-answer")) roll_calls.on_answered();
  co_return result<void>();
}

io::task<result<void>> backend::reload() {
  CO_CHECK(co_await blocks.load());
  CO_CHECK(co_await access.load());
  CO_CHECK(co_await revocations.refresh_all());
  CO_TRY(const auto gone, co_await devices.refresh_all());
  for (const auto& id : gone) states.forget(id);
  CO_CHECK(co_await services.refresh());
  CO_CHECK(co_await provider_changes.load());
  CO_CHECK(co_await modules.refresh());
  CO_CHECK(co_await hooks.load());
  CO_CHECK(co_await policies.load());
  roll_calls.on_called();
  co_return result<void>();
}

const io::fs::path& backend::local_root() const noexcept { return parts_->local_root; }
const secret& backend::local_signing_key() const noexcept { return parts_->local_signing_key; }

io::task<result<rotated_key>> backend::rotate_master_key(origin by) {
  if (parts_->rotating) co_return fail(errc::failed_precondition, "the master key is being changed already");
  parts_->rotating = true;
  auto note = done_now(parts_->clock, by, action::master_key_rotate, kind::master_key, "");
  auto outcome =
      co_await evp::backend::rotate_master_key(database, parts_->seals, *options.master_key, std::move(note));
  parts_->rotating = false;
  co_return outcome;
}

io::task<result<device_change>> backend::remove_device(std::string id, origin by) {
  const auto revoked = std::make_shared<std::set<std::string>>();
  auto its_certificates = enrolment.revoke_all_of(id, revoked);
  CO_TRY(auto change, co_await devices.remove(id, std::move(by), std::move(its_certificates)));
  auto ids = *revoked;
  if (!ids.empty()) CO_CHECK(co_await revocations.refresh(std::move(ids)));
  states.forget(id);
  const policy_target its{policy_scope::device, id};
  if (policies.get(its)) CO_CHECK(co_await policies.refresh(std::string(tenant_of(id))));
  co_return change;
}

io::task<result<void>> backend::remove_group(std::string name, origin by) {
  CO_CHECK(co_await device_groups.remove(name, std::move(by)));
  const policy_target its{policy_scope::group, name};
  if (policies.get(its)) CO_CHECK(co_await policies.refresh(std::string(tenant_of(name))));
  co_return result<void>();
}

}  // namespace evp::backend
