#include "backend/backend.h"

#include <spdlog/spdlog.h>

#include <optional>

#include "base/crypto.h"
#include "sql/keys_store.h"

namespace evp::backend {
namespace {

constexpr std::size_t key_bytes = 32;

/// The key of that name, made and sealed at the first start.
io::task<result<secret>> stored_key(sql::database& db, const sealer& seals, std::string name) {
  const std::string context = "key " + name;
  const std::string fresh = seals.seal(secret(random_bytes(key_bytes)), context);
  std::function<result<std::string>(sql::connection&)> work = [name, fresh](sql::connection& c) {
    return sql::insert_key_if_missing(c, name, fresh);
  };
  CO_TRY(const auto sealed, co_await db.run<std::string>(std::move(work)));
  co_return seals.open_sealed(sealed, context);
}

constexpr milliseconds forget_every{60'000};
constexpr milliseconds forget_pause{50};  // between batches: others want the database too

io::task<void> forget_forever(ledger& l, const io::clock& clock, milliseconds retention) {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool on = true; on;) {
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
        services(services_context{*db, seals, transport, clock, local_root, options.local_base_url, secret(),
                                  options.check_endpoint, options.driver_types, options.metadata,
                                  options.token_folders}),
        devices(*db, clock),
        ledger(*db, clock, outbox),
        grants(ex, services, devices, ledger, clock, options.limits),
        modules(modules::context{*db, disk, clock, options.data_dir / "modules", options.public_base_url, secret()}),
        states(*db, clock),
        deployments(*db, devices, modules, states, clock),
        commands(ex, devices, states),
        hooks(hooks_context{*db, seals, clock, outbox, options.check_endpoint}),
        deliveries(
            ex, hook_deliveries_context{*db, hooks, outbox, transport, clock, options.write_hook, options.deliveries}),
        background(ex) {}

  backend_options options;
  const io::clock& clock;
  sealer seals;
  io::pool disk{1};
  std::unique_ptr<sql::database> db;
  io::fs::path local_root;
  secret local_signing_key;
  class services services;
  class devices devices;
  signal outbox;
  class ledger ledger;
  class grants grants;
  class modules modules;
  class states states;
  class deployments deployments;
  class commands commands;
  upload_watches watches;
  class hooks hooks;
  hook_deliveries deliveries;
  io::group background;
};

backend::backend(std::unique_ptr<parts> p)
    : parts_(std::move(p)),
      options(parts_->options),
      services(parts_->services),
      devices(parts_->devices),
      ledger(parts_->ledger),
      grants(parts_->grants),
      modules(parts_->modules),
      states(parts_->states),
      deployments(parts_->deployments),
      commands(parts_->commands),
      watches(parts_->watches),
      hooks(parts_->hooks),
      database(*parts_->db) {}

backend::~backend() = default;

result<std::unique_ptr<backend>> backend::open(io::executor ex, http::transport& transport, const io::clock& clock,
                                               backend_options options) {
  CHECK(io::make_directories(options.data_dir));
  options.public_base_url = without_slash(options.public_base_url);
  options.local_base_url =
      without_slash(options.local_base_url.empty() ? options.public_base_url : options.local_base_url);
  if (options.database_url.empty())
    options.database_url = "sqlite://" + io::fs::absolute(options.data_dir / "backend.db").string();
  TRY(auto seals, sealer::open(options.data_dir / "master.key"));
  TRY(auto db, sql::database::open(ex, options.database_url));
  auto made = std::make_unique<parts>(ex, transport, clock, std::move(options), std::move(seals), std::move(db));
  CHECK(io::make_directories(made->local_root));
  return std::unique_ptr<backend>(new backend(std::move(made)));
}

void backend::set_gateway(device_gateway* gateway) {
  devices.set_gateway(gateway);
  deployments.set_gateway(gateway);
  commands.set_gateway(gateway);
}

io::task<result<void>> backend::start() {
  CO_TRY(parts_->local_signing_key, co_await stored_key(database, parts_->seals, "local store URLs"));
  CO_TRY(auto module_key, co_await stored_key(database, parts_->seals, "module URLs"));
  services.set_local_signing_key(parts_->local_signing_key);
  modules.set_signing_key(std::move(module_key));
  CO_CHECK(co_await services.load());
  CO_CHECK(co_await devices.load());
  CO_CHECK(co_await modules.load());
  CO_CHECK(co_await states.load());
  CO_CHECK(co_await hooks.load());
  parts_->background.spawn(grants.sweep_forever());
  parts_->background.spawn(states.flush_forever());
  parts_->background.spawn(parts_->deliveries.run_forever());
  parts_->background.spawn(forget_forever(ledger, parts_->clock, options.ledger_retention));
  co_return result<void>();
}

void backend::end_watches() { ledger.changed().close(); }

io::task<void> backend::stop() {
  end_watches();
  co_await parts_->background.stop();
  co_await grants.stop();
  co_await parts_->deliveries.stop();
  services.stop();
  const auto written = co_await states.flush();
  if (!written) spdlog::error("what devices report cannot be stored: {}", written.error().message());
}

const io::fs::path& backend::local_root() const noexcept { return parts_->local_root; }
const secret& backend::local_signing_key() const noexcept { return parts_->local_signing_key; }

io::task<result<device_change>> backend::remove_device(std::string id) {
  CO_TRY(auto change, co_await devices.remove(id));
  states.forget(id);
  co_return change;
}

io::task<result<backend::blocked_device>> backend::block_device(std::string id) {
  blocked_device out;
  CO_TRY(out.change, co_await devices.block(id));
  CO_TRY(out.grants, co_await ledger.live(std::move(id)));
  co_return out;
}

}  // namespace evp::backend
