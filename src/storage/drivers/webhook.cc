// WEBHOOK: a storage of the user's own. A service of theirs answers each request for a grant, so that any in-house
// storage works without a change here. The contract: docs/drivers/webhook.md.
#include <fmt/format.h>

#include "auth/credentials/issuer_exchange.h"
#include "base/encoding.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/requests.h"
#include "storage/webhook_signature.h"

namespace evp::storage {
namespace {

using kind = option_spec::kind;
constexpr option_spec options_table[] = {
    {"endpoint", kind::url, true, "URL of your service"},
    {"webhookSecret", kind::secret, true, "shared with it: every call is signed (HMAC-SHA-256)"},
    {"container", kind::text, false, "passed on to it, default evp"},
};

constexpr std::size_t secret_min = 32;
constexpr std::size_t answer_max = 64 * 1024, url_max = 16 * 1024, fields_max = 32, codes_max = 8;
constexpr milliseconds call_limit{4'000};  // a device waits 5 s for its grant
constexpr seconds own_lifetime{300};       // of grants for the backend's own requests

class webhook_driver final : public driver {
 public:
  webhook_driver(const driver_context& context, std::string url, secret key, std::string container)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        url_(std::move(url)),
        key_(std::move(key)),
        container_(std::move(container)) {}

  /// Until the service has said more (prepare), nothing is taken for enforced.
  capabilities caps() const noexcept override { return caps_; }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps_.max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps_.enforces));
    if (retired_) co_return fail(retired_error());
    auto made = co_await ask(std::move(spec));
    if (retired_) co_return fail(retired_error());
    co_return made;
  }

  io::task<result<void>> prepare() override {
    CO_TRY(const auto answer, co_await call("prepare", "", ""));
    if (answer.status != 200) co_return refused(answer, "prepare the storage");
    CO_TRY(const auto fields, auth::issuer_fields::parse(answer.body, "the webhook"));
    capabilities said = unsaid();
    for (const auto& [none, name] : fields.texts("enforces"))
      for (const auto& known : bound_names())
        if (known.name == name && is_checkable(known.what)) said.enforces = said.enforces.with(known.what);
    said.sign_get = fields.boolean("downloads").value_or(true);
    said.can_stat = fields.boolean("stat").value_or(true);
    caps_ = said;
    co_return result<void>();
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    CO_TRY(auto r, co_await own_request(operation::put, std::move(object)));
    r.exchange.body = std::move(bytes);
    CO_TRY(const auto answer, co_await transport_.send(std::move(r.exchange)));
    if (r.is_expected(answer.status)) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    CO_TRY(const auto answer, co_await call("stat", std::move(object), ""));
    if (answer.status != 200) co_return refused(answer, "describe an object");
    CO_TRY(const auto fields, auth::issuer_fields::parse(answer.body, "the webhook"));
    CO_TRY(const auto size, fields.integer("size"));
    if (size < 0) co_return fail(errc::data_corrupt, "the webhook told no size of the object");
    object_info info;
    info.size = std::uint64_t(size);
    info.etag = fields.text_or_empty("etag");
    info.sha256 = fields.text_or_empty("sha256");
    co_return info;
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    CO_TRY(auto r, co_await own_request(operation::get, std::move(object)));
    r.exchange.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r.exchange)));
    if (r.is_expected(answer.status)) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    CO_TRY(const auto answer, co_await call("remove", std::move(object), ""));
    if (answer.status == 200 || answer.status == 204 || answer.status == 404) co_return result<void>();
    co_return refused(answer, "remove an object");
  }

  void retire() override { retired_ = true; }

 private:
  /// Asks the service for a grant, of a device or of our own.
  io::task<result<signed_request>> ask(sign_spec spec) {
    const bool is_put = spec.op == operation::put;
    std::string more = fmt::format(R"(,"method":"{}","lifetimeSeconds":{},"headers":{{)", is_put ? "PUT" : "GET",
                                   std::chrono::floor<seconds>(spec.lifetime).count());
    bool first = true;
    for (const auto& f : spec.fields) {
      if (!is_put) break;
      more.append(first ? "" : ",").append(auth::json_text(f.name)).append(":").append(auth::json_text(f.value));
      first = false;
    }
    more += "}";
    if (spec.size) more += fmt::format(R"(,"size":{})", *spec.size);
    const auto asked_at = clock_.now();
    CO_TRY(const auto answer, co_await call("sign", spec.object, std::move(more)));
    if (answer.status != 200) co_return refused(answer, "sign a grant");
    co_return read_grant(answer.body, asked_at, spec.lifetime);
  }

  struct own_exchange {
    http::request exchange;
    std::vector<int> expect;
    bool is_expected(int status) const {
      for (const int code : expect)
        if (code == status) return true;
      return false;
    }
  };

  static capabilities unsaid() {
    capabilities c{.sign_get = true, .max_lifetime = std::chrono::hours(24 * 7), .max_put_bytes = 5ULL << 30};
    c.enforces = {};
    return c;
  }
  /// What a grant is bounded by without saying it: the rest would need words in the call that the contract lacks.
  static bool is_checkable(bound b) {
    return b == bound::object || b == bound::method || b == bound::expiry || b == bound::size || b == bound::https_only;
  }

  /// One signed call. `more` is JSON text that follows the common fields.
  io::task<result<http::response>> call(std::string action, std::string object, std::string more) {
    auto body = fmt::format(R"({{"version":1,"action":"{}","container":{},"object":{}{}}})", action,
                            auth::json_text(container_), auth::json_text(object), more);
    const auto signature = webhook_signature(key_, body, clock_.now());
    auto r = auth::json_request(url_, std::move(body), ca_pem_);
    r.fields.insert(r.fields.end(), signature.begin(), signature.end());
    r.max_response_bytes = answer_max;
    r.total_timeout = call_limit;
    auto outcome = co_await transport_.send(std::move(r));
    co_return outcome;
  }

  io::task<result<own_exchange>> own_request(operation op, std::string object) {
    sign_spec spec;
    spec.op = op;
    spec.object = std::move(object);
    spec.lifetime = own_lifetime;
    CO_TRY(auto made, co_await ask(std::move(spec)));
    own_exchange out;
    out.exchange.method = made.method;
    out.exchange.url = std::move(made.url);
    out.exchange.fields = std::move(made.fields);
    if (op == operation::put) out.exchange.body = std::string();
    out.exchange.ca_pem = ca_pem_;
    out.expect = std::move(made.expect);
    co_return out;
  }

  /// The answer is from outside: every part of it is checked before a device gets it.
  static result<signed_request> read_grant(const std::string& body, timestamp asked_at, milliseconds lifetime) {
    const auto bad = [](std::string_view what) {
      return fail(errc::unavailable,
                  fmt::format("the webhook's grant has no usable \"{}\" (docs/drivers/webhook.md)", what));
    };
    TRY(const auto fields, auth::issuer_fields::parse(body, "the webhook"));
    signed_request out;
    out.method = fields.text_or_empty("method");
    if (out.method != "PUT" && out.method != "POST" && out.method != "GET") return bad("method");
    out.url = secret(fields.text_or_empty("url"));
    if (out.url.size() > url_max || !parse_url(out.url.reveal())) return bad("url");
    for (auto& [name, value] : fields.texts("headers")) out.fields.push_back({name, value});
    auto checked = out.fields;  // Authorization is what a storage of one's own may well want
    std::erase_if(checked, [](const auto& f) { return http::same_name(f.name, "Authorization"); });
    for (const auto& f : out.fields)
      if (f.name.empty() || has_control_characters(f.value)) return bad("headers");
    if (out.fields.size() > fields_max || !check_fields(checked)) return bad("headers");
    for (const auto code : fields.integers("expect")) {
      if (code < 200 || code > 299) return bad("expect");
      out.expect.push_back(int(code));
    }
    if (out.expect.empty() || out.expect.size() > codes_max) return bad("expect");
    const auto dies = parse_rfc3339(fields.text_or_empty("expiresAt"));
    if (!dies || *dies <= asked_at) return bad("expiresAt");
    out.expires_at = std::min(*dies, expiry_of(asked_at, lifetime));
    return out;
  }

  static tl::unexpected<error> refused(const http::response& answer, std::string_view doing) {
    return fail(error_of_answer(answer, doing, ""));
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_, url_;
  secret key_;
  std::string container_;
  capabilities caps_ = unsaid();
  bool retired_ = false;
};

}  // namespace

std::span<const option_spec> webhook_options() { return options_table; }

result<made_driver> make_webhook(const option_values& options, const driver_context& context) {
  auto place = parse_endpoint(options.text("endpoint"));
  if (!place) return fail(std::move(place.error()).at("endpoint"));
  if (place->scheme != "https" && !place->is_local_or_ip())
    return fail(errc::invalid_argument, "endpoint", "must be https: grants travel back from there");
  const auto& key = options.get("webhookSecret");
  if (key.size() < secret_min)
    return fail(errc::invalid_argument, "webhookSecret",
                "must have at least 32 characters: make it with openssl rand -hex 32");
  auto container = options.has("container") ? options.text("container") : "evp";
  CHECK(check_container_name(container, "container", true));
  made_driver made;
  made.endpoint = place->origin();
  made.instance = std::make_unique<webhook_driver>(context, place->origin() + place->target, key, std::move(container));
  return made;
}

}  // namespace evp::storage
