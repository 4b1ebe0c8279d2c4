// OCI: Oracle Cloud's object storage by its native API. For each grant the backend makes a pre-authenticated request
// (PAR): a URL for one object, one method and a time, which Oracle checks by itself and which ends by itself.
//
// https://docs.oracle.com/en-us/iaas/Content/Object/Tasks/usingpreauthenticatedrequests.htm,
// https://docs.oracle.com/en-us/iaas/api/#/en/objectstorage/20160918/ (one PUT up to 50 GiB; 10,000 parts up to 50 GiB)
#include <fmt/format.h>

#include <algorithm>

#include "auth/credentials/issuer_exchange.h"
#include "auth/oci_signature.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/sealed_id.h"

namespace evp::storage {
namespace {

using auth::json_text;
using kind = option_spec::kind;

constexpr option_spec options_table[] = {
    {"region", kind::text, false, "region's identifier such as eu-frankfurt-1"},
    {"endpoint", kind::url, false, "URL of the API; default https://objectstorage.<region>.oraclecloud.com"},
    {"namespace", kind::text, true, "the tenancy's object storage namespace"},
    bucket_options::bucket,
    bucket_options::container,
    {"compartment", kind::text, false,
     "OCID of the compartment in which a missing bucket is made, default the tenancy"},
    {"tenancy", kind::text, true, "OCID of the tenancy"},
    {"user", kind::text, true, "OCID of the user whose API key it is"},
    {"fingerprint", kind::text, true, "the API key's fingerprint: 20:3b:97:..."},
    {"privateKey", kind::secret, true, "the API key's private half (PEM, unencrypted)"},
};

constexpr std::uint64_t gib = 1ULL << 30;
constexpr std::chrono::hours upload_life{7 * 24};  // of the PAR of an upload in parts, unless it ends before
constexpr std::size_t uri_max = 8 * 1024;

struct place {
  endpoint at;
  std::string space, bucket;  ///< space: Oracle's "namespace"
  std::string compartment;

  std::string path() const { return "/n/" + percent_encode(space) + "/b/" + percent_encode(bucket); }
};

/// A PAR as Oracle answers it.
struct made_par {
  std::string id;
  secret uri;  ///< "/p/<token>/n/<namespace>/b/<bucket>/o/<object>"
};

/// What an upload in parts consists of at Oracle's. It travels sealed, since the token is a grant in itself.
struct par_upload {
  std::string token, par_id, upload_id;
};

class oci_driver final : public driver {
 public:
  oci_driver(const driver_context& context, place where, auth::oci_signer signer)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        where_(std::move(where)),
        signer_(std::move(signer)),
        ids_(context) {}

  capabilities caps() const noexcept override {
    return {.max_lifetime = std::chrono::hours(24 * 7),  // Oracle names no limit
            .max_put_bytes = 50 * gib,
            .enforces = capabilities{}.enforces.with(bound::prefix),
            .parts = part_limits{.min_bytes = 1, .max_bytes = 50 * gib}};
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    if (retired_) co_return fail(retired_error());
    const bool is_put = spec.op == operation::put;
    signed_request r{.method = is_put ? "PUT" : "GET", .expect = {200}};
    r.expires_at = expiry_of(clock_.now(), spec.lifetime);
    const std::string access = std::string(spec.is_prefix ? "Any" : "") + (is_put ? "ObjectWrite" : "ObjectRead");
    CO_TRY(const auto par, co_await make_par(spec.object, access, r.expires_at));
    if (retired_) co_return fail(retired_error());
    r.url = secret(where_.at.origin() + par.uri.reveal());
    if (spec.is_prefix) {
      if (!par.uri.reveal().ends_with("/o/"))
        co_return fail(errc::unavailable, "the storage's pre-authenticated request is not for a prefix");
      r.slot = signed_request::name_slot::url;
    }
    if (is_put) r.fields = std::move(spec.fields);
    if (spec.portless_host) CO_CHECK(check_small_head(r));
    co_return r;
  }

  io::task<result<void>> prepare() override {
    api_call look{"GET", where_.path()};
    CO_TRY(const auto found, co_await send(std::move(look)));
    const auto code = json_error_code(found.body);
    if (found.status == 200) co_return result<void>();
    if (code != "BucketNotFound") co_return fail(error_of_answer(found, "look for the bucket", code));
    api_call creation{"POST", "/n/" + percent_encode(where_.space) + "/b"};
    creation.json = fmt::format(R"({{"name":{},"compartmentId":{},"publicAccessType":"NoPublicAccess"}})",
                                json_text(where_.bucket), json_text(where_.compartment));
    CO_TRY(const auto made, co_await send(std::move(creation)));
    const auto why = json_error_code(made.body);
    if (made.status == 200 || why == "BucketAlreadyExists") co_return result<void>();
    co_return fail(error_of_answer(made, "create the bucket", why));
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    api_call c{"PUT", object_path(object)};
    c.bytes = std::move(bytes);
    CO_TRY(const auto answer, co_await send(std::move(c)));
    if (answer.status == 200) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    api_call c{"HEAD", object_path(object)};
    CO_TRY(const auto answer, co_await send(std::move(c)));
    if (answer.status == 200) co_return info_of_head(answer);
    co_return refused(answer, "describe an object");
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    api_call c{"GET", object_path(object)};
    c.max_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await send(std::move(c)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    api_call c{"DELETE", object_path(object)};
    CO_TRY(const auto answer, co_await send(std::move(c)));
    if (answer.status == 204 || answer.status == 404) co_return result<void>();
    co_return refused(answer, "remove an object");
  }

  /// Through a PAR from the beginning: only such an upload has parts that can be sent without a signature.
  io::task<result<std::string>> begin_parts(sign_spec spec) override {
    CO_CHECK(check_fields(spec.fields));
    const auto expires = expiry_of(clock_.now(), upload_life);
    CO_TRY(const auto par, co_await make_par(spec.object, "ObjectWrite", expires));
    http::request r;
    r.method = "PUT";
    r.url = secret(where_.at.origin() + par.uri.reveal());
    r.fields = spec.fields;
    r.fields.push_back({"opc-multipart", "true"});
    r.body = std::string();
    r.ca_pem = ca_pem_;
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200) co_return refused(answer, "begin an upload in parts");
    CO_TRY(const auto said, auth::issuer_fields::parse(answer.body, "the storage"));
    par_upload upload;
    upload.par_id = par.id;
    CO_TRY(upload.upload_id, said.text("uploadId"));
    const auto& uri = par.uri.reveal();
    upload.token = uri.substr(3, uri.find('/', 3) - 3);
    const auto plain = upload.token + "\n" + upload.par_id + "\n" + upload.upload_id;
    co_return ids_.seal(plain, spec.object);
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    if (retired_) co_return fail(retired_error());
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_TRY(const auto upload, opened(upload_id, spec.object));
    signed_request r{.method = "PUT", .expect = {200}};
    r.expires_at = expiry_of(clock_.now(), spec.lifetime);
    r.url = secret(fmt::format("{}/p/{}{}/u/{}/id/{}/{}", where_.at.origin(), upload.token, where_.path(),
                               percent_encode(spec.object, true), percent_encode(upload.upload_id), part.number));
    co_return r;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    CO_TRY(const auto upload, opened(upload_id, object));
    std::vector<stored_part> all;
    std::string page;
    do {
      auto c = upload_call("GET", object, upload);
      c.target += "&limit=1000";
      if (!page.empty()) c.target += "&page=" + percent_encode(page);
      c.max_bytes = 1 << 20;
      CO_TRY(const auto answer, co_await send(std::move(c)));
      if (answer.status == 404) co_return fail(errc::not_found, "the storage has no such upload in parts");
      if (answer.status != 200) co_return refused(answer, "list the parts of an upload");
      CO_TRY(const auto listed, auth::issuer_fields::parse("{\"parts\":" + answer.body + "}", "the storage"));
      const auto before = all.size();
      for (const auto& p : listed.objects("parts")) {
        CO_TRY(const auto number, p.integer("partNumber"));
        CO_TRY(const auto size, p.integer("size"));
        CO_TRY(auto etag, p.text("etag"));
        const bool follows = number >= 1 && number <= 10'000 && (all.empty() || number > all.back().number);
        if (!follows || size < 0) co_return fail(errc::data_corrupt, "the storage listed parts out of order");
        all.push_back({unsigned(number), std::uint64_t(size), std::move(etag)});
      }
      page = http::find(answer.fields, "opc-next-page");
      if (all.size() == before) page.clear();
    } while (!page.empty());
    co_return all;
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    CO_TRY(const auto upload, opened(upload_id, spec.object));
    auto c = upload_call("POST", spec.object, upload);
    c.patience = commit_limit;
    std::string named;
    for (const auto& p : parts)
      named += fmt::format(R"({}{{"partNum":{},"etag":{}}})", named.empty() ? "" : ",", p.number, json_text(p.etag));
    c.json = "{\"partsToCommit\":[" + named + "]}";
    CO_TRY(const auto answer, co_await send(std::move(c)));
    if (answer.status == 404) co_return fail(errc::not_found, "the storage has no such upload in parts");
    if (answer.status != 200) co_return refused(answer, "put the parts together");
    co_await drop_par(upload.par_id);
    co_return result<void>();
  }

  io::task<result<void>> abort_parts(std::string object, std::string upload_id) override {
    CO_TRY(const auto upload, opened(upload_id, object));
    auto c = upload_call("DELETE", object, upload);
    CO_TRY(const auto answer, co_await send(std::move(c)));
    if (answer.status != 204 && answer.status != 404) co_return refused(answer, "drop the parts of an upload");
    co_await drop_par(upload.par_id);
    co_return result<void>();
  }

  void retire() override { retired_ = true; }

 private:
  struct api_call {
    std::string method, target;
    std::optional<std::string> json;   ///< signed with the request
    std::optional<std::string> bytes;  ///< of an object, which Oracle does not want signed
    std::uint64_t max_bytes = refusal_max_bytes;
    milliseconds patience{0};
  };

  std::string object_path(const std::string& object) const {
    return where_.path() + "/o/" + percent_encode(object, true);
  }
  api_call upload_call(std::string method, const std::string& object, const par_upload& upload) const {
    api_call c;
    c.method = std::move(method);
    c.target = where_.path() + "/u/" + percent_encode(object, true) + "?uploadId=" + percent_encode(upload.upload_id);
    return c;
  }

  io::task<result<http::response>> send(api_call c) {
    auth::oci_request wanted{c.method, where_.at.authority(), c.target, {}};
    if (c.json) wanted.json = *c.json;
    http::request r;
    r.fields = signer_.sign(wanted, clock_.now());
    r.method = std::move(c.method);
    r.url = secret(where_.at.origin() + c.target);
    if (c.json) r.body = std::move(*c.json);
    if (c.bytes) r.body = std::move(*c.bytes);
    r.ca_pem = ca_pem_;
    r.max_response_bytes = c.max_bytes;
    if (c.patience > milliseconds(0)) r.total_timeout = r.stall_timeout = c.patience;
    auto answer = co_await transport_.send(std::move(r));
    co_return answer;
  }

  io::task<result<made_par>> make_par(std::string object, std::string access, timestamp expires) {
    api_call c{"POST", where_.path() + "/p"};
    c.json = fmt::format(R"({{"name":"evp-{}","objectName":{},"accessType":"{}","timeExpires":"{}"}})", random_id(16),
                         json_text(object), access, format_rfc3339_seconds(expires));
    CO_TRY(const auto answer, co_await send(std::move(c)));
    if (answer.status != 200) co_return refused(answer, "make a pre-authenticated request");
    CO_TRY(const auto said, auth::issuer_fields::parse(answer.body, "the storage"));
    made_par par;
    CO_TRY(par.id, said.text("id"));
    CO_TRY(auto uri, said.text("accessUri"));
    // From outside: it must be a path of this very host, with a token in it.
    const auto end_of_token = uri.starts_with("/p/") ? uri.find("/n/", 3) : uri.npos;
    const bool usable = end_of_token != uri.npos && end_of_token > 3 && uri.size() <= uri_max && is_word(uri) &&
                        uri.find('/', 3) == end_of_token && par.id.find('\n') == par.id.npos;
    if (!usable) co_return fail(errc::unavailable, "the storage's pre-authenticated request has no usable accessUri");
    par.uri = secret(std::move(uri));
    co_return par;
  }

  /// Its parts can be sent no more. Where that fails it ends by itself (upload_life), so nobody is told.
  io::task<void> drop_par(std::string id) {
    api_call c{"DELETE", where_.path() + "/p/" + percent_encode(id)};
    const auto answer = co_await send(std::move(c));
    (void)answer;
  }

  result<par_upload> opened(const std::string& id, const std::string& object) const {
    TRY(const auto text, ids_.open(id, object));
    const auto first = text.find('\n'), second = text.find('\n', first + 1);
    if (second == text.npos) return fail(errc::not_found, "the storage has no such upload in parts");
    return par_upload{text.substr(0, first), text.substr(first + 1, second - first - 1), text.substr(second + 1)};
  }

  static tl::unexpected<error> refused(const http::response& answer, std::string_view doing) {
    const auto code = json_error_code(answer.body);
    if (answer.status == 404 && (code == "NotAuthorizedOrNotFound" || code == "BucketNotFound"))
      return fail(errc::permission_denied,
                  fmt::format("the storage answered {} when asked to {}: the bucket is gone, or "
                              "a policy must allow the user's group to use it",
                              code, doing));
    return fail(error_of_answer(answer, doing, code));
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  place where_;
  auth::oci_signer signer_;
  sealed_ids ids_;
  bool retired_ = false;
};

bool is_ocid(std::string_view text, std::string_view type) {
  return is_word(text) && text.size() <= 255 && text.starts_with("ocid1." + std::string(type) + ".") &&
         text.find_first_of("/\"\\") == text.npos;
}

result<auth::oci_signer> signer_of(const option_values& options) {
  const auto tenancy = options.text("tenancy"), user = options.text("user"), print = options.text("fingerprint");
  if (!is_ocid(tenancy, "tenancy"))
    return fail(errc::invalid_argument, "tenancy", "must be an OCID: ocid1.tenancy....");
  if (!is_ocid(user, "user")) return fail(errc::invalid_argument, "user", "must be an OCID: ocid1.user....");
  bool ok = print.size() == 47;
  for (std::size_t i = 0; i < print.size(); ++i)
    ok =
        ok && (i % 3 == 2 ? print[i] == ':' : std::string_view("0123456789abcdef").find(print[i]) != std::string::npos);
  if (!ok)
    return fail(errc::invalid_argument, "fingerprint", "must be 16 pairs of hexadecimal digits with ':' between");
  auto key = rsa_private_key::parse(options.get("privateKey"));
  if (!key) return fail(std::move(key.error()).at("privateKey"));
  return auth::oci_signer(tenancy + "/" + user + "/" + print, std::move(*key));
}

}  // namespace

std::span<const option_spec> oci_options() { return options_table; }

result<made_driver> make_oci(const option_values& options, const driver_context& context) {
  if (!options.has("endpoint")) CHECK(check_region(options.text("region")));
  TRY(auto found,
      bucket_place_of(options, "https://objectstorage." + options.text("region") + ".oraclecloud.com", true));
  place where{std::move(found.at), options.text("namespace"), std::move(found.bucket), options.text("compartment")};
  if (!is_word(where.space) || where.space.size() > 64 || where.space.find('/') != where.space.npos)
    return fail(errc::invalid_argument, "namespace", "missing, or has white space or '/': the console shows it");
  TRY(auto signer, signer_of(options));
  if (where.compartment.empty())
    where.compartment = options.text("tenancy");
  else if (!is_ocid(where.compartment, "compartment") && !is_ocid(where.compartment, "tenancy"))
    return fail(errc::invalid_argument, "compartment", "must be an OCID: ocid1.compartment....");

  made_driver made;
  if (auto w = plain_http_warning(where.at); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = where.at.origin();
  made.instance = std::make_unique<oci_driver>(context, std::move(where), std::move(signer));
  return made;
}

}  // namespace evp::storage
