// LOCAL: the built-in object store, a folder on the backend's disk behind signed URLs of the backend itself.
#include "base/names.h"
#include "io/pool.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/requests.h"
#include "storage/local_store.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"container", option_spec::kind::text, false, "folder for the objects, default evp; made when missing"},
};

class local_driver final : public driver {
 public:
  local_driver(const driver_context& context, std::string container)
      : clock_(context.clock),
        base_url_(context.local_base_url),
        key_(context.local_signing_key),
        container_(std::move(container)),
        store_(context.local_root, container_) {}
  ~local_driver() override { disk_.join(); }

  capabilities caps() const noexcept override {
    return {.sign_get = true,
            .max_lifetime = std::chrono::hours(24 * 7),
            .max_put_bytes = local_max_object_bytes,
            .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::max_size, bound::sha256,
                         bound::create_only},
            .parts = part_limits{.min_bytes = 1, .max_bytes = local_max_object_bytes}};
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    const bool is_put = spec.op == operation::put;
    local_access access{container_, spec.object, spec.op, clock_.now() + spec.lifetime};
    access.size = spec.size;
    access.max_size = spec.max_size;
    access.sha256 = spec.sha256;
    access.create_only = spec.create_only;
    signed_request r{.method = is_put ? "PUT" : "GET", .fields = spec.fields};
    r.url = sign_local_url(key_, base_url_, access);
    r.expires_at = access.expires_at;
    if (is_put)
      r.expect = {200, 201};
    else
      r.expect = {200};
    co_return r;
  }

  io::task<result<void>> prepare() override {
    auto work = [this] { return store_.prepare(); };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    auto work = [this, object = std::move(object), bytes = std::move(bytes)]() -> result<void> {
      TRY(auto upload, store_.begin(object));
      CHECK(upload.write(bytes));
      CHECK(upload.commit());
      return {};
    };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<object_info>> stat(std::string object) override {
    auto work = [this, object = std::move(object)] { return store_.stat(object); };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    auto work = [this, object = std::move(object), max_bytes] { return store_.read(object, max_bytes); };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<void>> remove(std::string object) override {
    auto work = [this, object = std::move(object)] { return store_.remove(object); };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<std::string>> begin_parts(sign_spec) override {
    auto work = [this]() -> result<std::string> {
      CHECK(store_.prepare());
      return store_.begin_parts();
    };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    signed_request r{.method = "PUT", .expect = {201}};
    r.expires_at = clock_.now() + spec.lifetime;
    local_access access{container_, spec.object, operation::put, r.expires_at};
    access.parts_id = upload_id;
    access.part = part;
    r.url = sign_local_url(key_, base_url_, access);
    co_return r;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string, std::string upload_id) override {
    auto work = [this, id = std::move(upload_id)] { return store_.list_parts(id); };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part>) override {
    auto work = [this, object = std::move(spec.object), id = std::move(upload_id)] {
      return store_.commit_parts(object, id);
    };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

  io::task<result<void>> abort_parts(std::string, std::string upload_id) override {
    auto work = [this, id = std::move(upload_id)] { return store_.abort_parts(id); };
    auto outcome = co_await io::run_on(disk_, std::move(work));
    co_return outcome;
  }

 private:
  const io::clock& clock_;
  std::string base_url_;
  secret key_;
  std::string container_;
  local_store store_;
  io::pool disk_{1};
};

}  // namespace

std::span<const option_spec> local_options() { return options_table; }

result<made_driver> make_local(const option_values& options, const driver_context& context) {
  const auto container = options.has("container") ? options.text("container") : "evp";
  if (auto ok = check_name(container, "container"); !ok) return fail(std::move(ok.error()).at("container"));
  if (context.local_root.empty() || context.local_signing_key.empty())
    return fail(errc::failed_precondition, "type", "the LOCAL store is switched off in this backend");
  auto base = parse_endpoint(context.local_base_url);
  if (!base) return fail(std::move(base.error()).during("the backend's own base URL for LOCAL objects"));
  made_driver made;
  if (auto w = plain_http_warning(*base); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = base->origin();
  TRY(auto folder, scoped_name(context.tenant, container));
  made.instance = std::make_unique<local_driver>(context, std::move(folder));
  return made;
}

}  // namespace evp::storage
