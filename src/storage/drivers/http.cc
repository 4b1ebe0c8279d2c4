// HTTP: any server that takes PUT, GET, HEAD and DELETE below a URL: nginx, Apache and other WebDAV servers. Grants are
// signed links where the server checks them (nginx secure_link); else the plain URL, with the service's password or
// token.
//
// https://nginx.org/en/docs/http/ngx_http_secure_link_module.html, RFC 4918 (WebDAV), RFC 7617, RFC 6750
#include <set>

#include "auth/secure_link.h"
#include "base/encoding.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/requests.h"

namespace evp::storage {
namespace {

using kind = option_spec::kind;
constexpr option_spec options_table[] = {
    {"endpoint", kind::url, true, "URL below which the objects lie; its path is kept"},
    {"container", kind::text, false, "folder below it, default none"},
    {"authentication", kind::text, false, "none (default), basic, bearer or secureLink"},
    {"username", kind::text, false, "for basic"},
    {"password", kind::secret, false, "for basic"},
    {"token", kind::secret, false, "for bearer"},
    {"linkSecret", kind::secret, false, "for secureLink: the secret word of the server's configuration"},
    {"webdav", kind::boolean, false, "make missing folders with MKCOL before an upload"},
};

constexpr std::size_t link_secret_min = 16;
constexpr std::size_t folders_max = 4096;  // that are known to exist
constexpr seconds own_lifetime{300};       // of links for the backend's own requests
constexpr std::string_view probe = ".evp-probe";

struct credentials {
  http::header field;  ///< Authorization, or with an empty name
  secret link_secret;  ///< empty: links are not signed
};

class http_driver final : public driver {
 public:
  http_driver(const driver_context& context, credentials with, endpoint place, std::string folder, bool makes_folders)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        with_(std::move(with)),
        place_(std::move(place)),
        folder_(std::move(folder)),
        makes_folders_(makes_folders) {}

  capabilities caps() const noexcept override {
    capabilities c{.sign_get = true, .max_lifetime = std::chrono::hours(24 * 365), .max_put_bytes = 5ULL << 30};
    if (with_.link_secret.empty()) c.enforces = {};  // whoever holds a grant can do all that its credential may
    return c;
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    if (retired_) co_return fail(retired_error());
    const bool is_put = spec.op == operation::put;
    if (is_put) CO_CHECK(co_await make_folders(spec.object));
    if (retired_) co_return fail(retired_error());
    signed_request r{.method = is_put ? "PUT" : "GET"};
    r.expires_at = expiry_of(clock_.now(), spec.lifetime);
    r.url = url(r.method, spec.object, r.expires_at);
    r.expect = {200};
    if (is_put) r.expect = {201, 204, 200};
    if (is_put) r.fields = spec.fields;
    if (!with_.field.name.empty()) r.fields.push_back(with_.field);
    co_return r;
  }

  /// There is nothing to make; a look at an object that is not there shows whether the server believes us.
  io::task<result<void>> prepare() override {
    auto r = request("HEAD", std::string(probe));
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 404 || answer.status == 200) co_return result<void>();
    co_return refused(answer, "look for an object");
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    CO_CHECK(co_await make_folders(object));
    auto r = request("PUT", object);
    r.body = std::move(bytes);
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status >= 200 && answer.status <= 204) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    auto r = request("HEAD", object);
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return info_of_head(answer);
    co_return refused(answer, "describe an object");
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    auto r = request("GET", object);
    r.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    auto r = request("DELETE", object);
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 204 || answer.status == 200 || answer.status == 404) co_return result<void>();
    co_return refused(answer, "remove an object");
  }

  void retire() override { retired_ = true; }

 private:
  secret url(std::string_view method, const std::string& object, timestamp expires) const {
    const auto path = place_.target + "/" + folder_ + object;
    if (!with_.link_secret.empty())
      return auth::sign_secure_link(with_.link_secret, method, place_.origin(), path, expires);
    return secret(place_.origin() + percent_encode(path, true));
  }

  http::request request(std::string method, const std::string& object) const {
    http::request r;
    r.url = url(method, object, std::chrono::floor<seconds>(clock_.now() + own_lifetime));
    if (!with_.field.name.empty()) r.fields.push_back(with_.field);
    r.method = std::move(method);
    r.ca_pem = ca_pem_;
    return r;
  }

  /// RFC 4918, 9.3: a folder is made only where its own folder is; 405 says that it exists.
  io::task<result<void>> make_folders(std::string object) {
    object.insert(0, folder_);
    for (auto slash = object.find('/'); makes_folders_ && slash != object.npos; slash = object.find('/', slash + 1)) {
      const auto folder = object.substr(0, slash);
      if (folders_.contains(folder)) continue;
      auto r = request("MKCOL", "");
      r.url = secret(place_.origin() + percent_encode(place_.target + "/" + folder + "/", true));
      CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
      if (answer.status != 201 && answer.status != 405) co_return refused(answer, "make a folder");
      if (folders_.size() >= folders_max) folders_.clear();
      folders_.insert(folder);
    }
    co_return result<void>();
  }

  tl::unexpected<error> refused(const http::response& answer, std::string_view doing) const {
    auto e = error_of_answer(answer, doing, "");
    const bool link_refused = !with_.link_secret.empty() && (answer.status == 403 || answer.status == 410);
    if (!link_refused) return fail(std::move(e));
    return fail(errc::unauthenticated,
                "the storage refuses our signed links: check linkSecret, secure_link_md5 in its "
                "configuration and the clocks");
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  credentials with_;
  endpoint place_;      // its path decoded
  std::string folder_;  // below it: empty, or ending in '/'
  bool makes_folders_;
  std::set<std::string> folders_;
  bool retired_ = false;
};

bool is_field_value(std::string_view text) { return !text.empty() && !has_control_characters(text) && is_utf8(text); }

result<credentials> credentials_of(const option_values& options) {
  auto how = options.text("authentication");
  if (how.empty()) how = "none";
  struct need {
    std::string_view how, field;
  };
  constexpr need needs[] = {
      {"basic", "username"}, {"basic", "password"}, {"bearer", "token"}, {"secureLink", "linkSecret"}};
  bool known = how == "none";
  for (const auto& n : needs) {
    known = known || how == n.how;
    if (how != n.how && options.has(n.field))
      return fail(errc::invalid_argument, std::string(n.field), "goes with authentication " + std::string(n.how));
    if (how == n.how && !is_field_value(options.get(n.field).reveal()))
      return fail(errc::invalid_argument, std::string(n.field), "is missing, or has control characters");
  }
  if (!known) return fail(errc::invalid_argument, "authentication", "must be none, basic, bearer or secureLink");
  credentials out;
  if (how == "basic") {
    if (options.text("username").find(':') != std::string::npos)
      return fail(errc::invalid_argument, "username", "must not hold a colon");
    out.field = {"Authorization", "Basic " + to_base64(options.text("username") + ":" + options.text("password"))};
  }
  if (how == "bearer") out.field = {"Authorization", "Bearer " + options.text("token")};
  if (how == "secureLink") {
    out.link_secret = options.get("linkSecret");
    if (out.link_secret.size() < link_secret_min)
      return fail(errc::invalid_argument, "linkSecret",
                  "must have at least 16 characters: make it with openssl rand -hex 32");
  }
  return out;
}

}  // namespace

std::span<const option_spec> http_options() { return options_table; }

result<made_driver> make_http(const option_values& options, const driver_context& context) {
  auto place = parse_endpoint(options.text("endpoint"));
  if (!place) return fail(std::move(place.error()).at("endpoint"));
  auto path = percent_decode(place->target);
  if (!path) return fail(std::move(path.error()).at("endpoint"));
  place->target = std::move(*path);
  std::string folder;
  if (options.has("container")) {
    CHECK(check_container_name(options.text("container"), "container", true));
    folder = options.text("container") + "/";
  }
  TRY(auto with, credentials_of(options));
  if (options.text("webdav") == "true" && !with.link_secret.empty())
    return fail(errc::invalid_argument, "webdav",
                "does not go with secureLink: let the server make folders (create_full_put_path)");
  made_driver made;
  if (!with.field.name.empty() && place->scheme != "https" && !place->is_local_or_ip())
    return fail(errc::invalid_argument, "endpoint", "must be https: a password or token travels there");
  if (!with.field.name.empty())
    made.warnings.push_back(
        "Devices get the password or token itself: each of them can do all that it permits. Prefer secureLink, whose "
        "grants are for one object.");
  else if (with.link_secret.empty())
    made.warnings.push_back("Without authentication everybody who reaches the storage can write to it.");
  if (auto w = plain_http_warning(*place); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = place->origin();
  made.instance = std::make_unique<http_driver>(context, std::move(with), std::move(*place), std::move(folder),
                                                options.text("webdav") == "true");
  return made;
}

}  // namespace evp::storage
