// evp-vectors TYPE FILE...: signs every case of published test vectors with the product's own signers and compares.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/url.hpp>
#include <cstdio>
#include <functional>
#include <span>

#include "auth/azure_sas.h"
#include "auth/sigv4.h"
#include "io/files.h"

namespace {

namespace json = boost::json;
using namespace evp;

constexpr std::size_t max_file_bytes = 64 << 20;

constexpr std::string_view usage =
    R"(usage: evp-vectors TYPE FILE...

Signs every case of the files with OpenEVP's own signer and compares the outcome with what the file says.
  s3 (also: aws, minio)   presigned S3 URLs: the whole URL, its query sorted by name
  azure                   shared access signatures: the string-to-sign, and the query sorted by name
Prints "N of M equal" and the first case that differs; with several files also the numbers of each.
Exit status: 0 all equal; 1 a case differs, or a file is unreadable or holds no case; 2 wrong usage.
)";

/// What a case should give and what the signer gave. Both are texts that can be compared and shown: vectors hold
/// test keys only.
struct outcome {
  std::string name, expected, got;
};

std::string text(const json::object& o, std::string_view name) {
  const auto* v = o.if_contains(name);
  if (!v || v->is_null()) return {};
  if (v->is_string()) return std::string(v->as_string());
  return json::serialize(*v);
}

/// Decoded parameters in order of name: what two signers must agree on, whatever order they write it in.
std::string sorted_query(std::string_view query) {
  std::vector<std::string> lines;
  for (const auto& p : boost::urls::params_encoded_view(query))
    lines.push_back(fmt::format("{}={}", p.key.decode(), p.value.decode()));
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string sorted_url(std::string_view url) {
  const auto mark = std::min(url.find('?'), url.size());
  const auto query = mark < url.size() ? url.substr(mark + 1) : std::string_view();
  return fmt::format("{}\n{}", url.substr(0, mark), sorted_query(query));
}

// ---- S3 ----

struct s3_operation {
  std::string_view op, method, sdk_name;  ///< sdk_name: what the vendor's SDK adds as x-id, if it does
};
constexpr s3_operation s3_operations[] = {
    {"put", "PUT", "PutObject"},
    {"get", "GET", "GetObject"},
    {"head", "HEAD", "HeadObject"},
    {"part", "PUT", "UploadPart"},
    {"create", "POST", ""},
    {"complete", "POST", ""},
    {"delete", "DELETE", "DeleteObject"},
    {"abort", "DELETE", "AbortMultipartUpload"},
};

/// The case's request, from its input alone: nothing is read from the URL that it is compared with.
result<outcome> sign_s3(const json::object& file, const json::object& c) {
  const bool from_sdk = c.contains("input");  // the AWS SDK's form: it adds parameters of its own
  const auto& input = from_sdk ? c.at("input").as_object() : c;
  const auto op = text(input, "op");
  const auto* known =
      std::find_if(std::begin(s3_operations), std::end(s3_operations), [&](auto& o) { return o.op == op; });
  if (known == std::end(s3_operations)) return fail(errc::unsupported, "unknown op " + op);

  auth::aws_credentials credentials{text(file, "access_key"), secret(text(file, "secret_key")),
                                    secret(text(input, "token"))};
  const auth::sigv4_signer signer(std::move(credentials), "us-east-1");

  auto bucket = text(file, "bucket");
  if (bucket.empty()) bucket = "examplebucket";
  auto endpoint = text(input, "endpoint");
  if (endpoint.empty()) endpoint = "https://s3.us-east-1.amazonaws.com";
  const auto colon = endpoint.find("://");
  const bool path_style = text(input, "pathStyle") == "true";

  auth::sigv4_request request;
  request.method = known->method;
  request.scheme = endpoint.substr(0, colon);
  request.authority = (path_style ? "" : bucket + ".") + endpoint.substr(colon + 3);
  request.path = (path_style ? "/" + bucket : "") + "/" + text(input, "key");
  if (op == "create") request.query.emplace_back("uploads", "");
  for (const auto* name : {"uploadId", "partNumber"})
    if (input.contains(name)) request.query.emplace_back(name, text(input, name));
  if (from_sdk) {
    request.query.emplace_back("X-Amz-Content-Sha256", auth::unsigned_payload);
    if (!known->sdk_name.empty()) request.query.emplace_back("x-id", known->sdk_name);
  }
  for (const auto& [name, field] :
       {std::pair("contentType", "Content-Type"), std::pair("contentMD5", "Content-MD5"),
        std::pair("contentLength", "Content-Length"), std::pair("sha256", "x-amz-checksum-sha256")})
    if (input.contains(name)) request.fields.push_back({field, text(input, name)});
  if (const auto* meta = input.if_contains("meta"))
    for (const auto& [name, value] : meta->as_object())
      request.fields.push_back({"x-amz-meta-" + std::string(name), std::string(value.as_string())});

  TRY(const auto now, parse_rfc3339(text(file, "sdk_frozen_clock_utc")));
  const auto url = signer.presign(request, now, seconds(std::stoll("0" + text(input, "expires"))));
  return outcome{from_sdk ? text(input, "id") : op + " " + text(input, "key"), sorted_url(text(c, "url")),
                 sorted_url(url.reveal())};
}

// ---- Azure ----

/// "2024-05-06T00:00:00.000Z" as it stands in signatures: without fractions.
std::string whole_seconds(const std::string& t) {
  const auto parsed = parse_rfc3339(t);
  return parsed ? format_rfc3339_seconds(*parsed) : t;
}

result<std::optional<timestamp>> time_of(const json::object& c, std::string_view name) {
  if (!c.contains(name)) return std::nullopt;
  TRY(const auto t, parse_rfc3339(text(c, name)));
  return t;
}

auth::azure_delegation_key delegation_key(const json::object& k) {
  return {text(k, "signedObjectId"),
          text(k, "signedTenantId"),
          whole_seconds(text(k, "signedStartsOn")),
          whole_seconds(text(k, "signedExpiresOn")),
          text(k, "signedService"),
          text(k, "signedVersion"),
          secret(text(k, "value"))};
}

/// Cases about required fields and parameters say nothing but those: what they are about stands in their string-to-sign
/// (permissions, start, expiry, resource) and the version in their key.
json::object with_inputs(const json::object& file, json::object c) {
  if (c.contains("kind")) return c;
  std::vector<std::string> lines{""};
  for (const char ch : text(c, "string_to_sign")) {
    if (ch == '\n')
      lines.emplace_back();
    else
      lines.back() += ch;
  }
  lines.resize(std::max<std::size_t>(lines.size(), 4));
  std::vector<std::string> resource{""};  // "", "blob", account, container, path
  for (const char ch : lines[3]) {
    if (ch == '/' && resource.size() < 5)
      resource.emplace_back();
    else
      resource.back() += ch;
  }
  resource.resize(5);
  c["kind"] = "user-delegation";
  c["permissions"] = lines[0];
  if (!lines[1].empty()) c["st"] = lines[1];
  if (!lines[2].empty()) c["se"] = lines[2];
  c["account"] = resource[2];
  c["container"] = resource[3];
  c["blob"] = resource[4];
  const auto* key = file.if_contains("user_delegation_key");
  c["version"] = key ? text(key->as_object(), "signedVersion") : "";
  return c;
}

result<auth::azure_signed_query> sign_azure_account(const auth::azure_sas_signer& signer, const json::object& c) {
  auth::azure_account_sas sas;
  sas.version = text(c, "version");
  sas.services = text(c, "ss");
  sas.resource_types = text(c, "srt");
  sas.permissions = text(c, "permissions");
  TRY(sas.starts, time_of(c, "st"));
  TRY(sas.expires, time_of(c, "se"));
  sas.addresses = text(c, "sip");
  sas.protocol = text(c, "spr");
  sas.encryption_scope = text(c, "ses");
  return signer.sign(sas);
}

result<auth::azure_signed_query> sign_azure_service(const auth::azure_sas_signer& signer, const json::object& file,
                                                    const json::object& c) {
  auth::azure_service_sas sas;
  sas.version = text(c, "version");
  sas.container = text(c, "container");
  sas.path = c.contains("directory") ? text(c, "directory") : text(c, "blob");
  if (c.contains("depth")) sas.depth = int(c.at("depth").as_int64());
  sas.permissions = text(c, "permissions");
  TRY(sas.starts, time_of(c, "st"));
  TRY(sas.expires, time_of(c, "se"));
  sas.policy = text(c, "si");
  sas.addresses = text(c, "sip");
  sas.protocol = text(c, "spr");
  sas.encryption_scope = text(c, "ses");
  sas.cache_control = text(c, "rscc");
  sas.content_disposition = text(c, "rscd");
  sas.content_encoding = text(c, "rsce");
  sas.content_language = text(c, "rscl");
  sas.content_type = text(c, "rsct");
  if (text(c, "kind") == "user-delegation") sas.delegation = delegation_key(file.at("user_delegation_key").as_object());
  if (const auto* fields = c.if_contains("request_headers"))
    for (const auto& [name, value] : fields->as_object()) sas.required_fields.emplace_back(name, value.as_string());
  if (const auto* query = c.if_contains("request_query"))
    for (const auto& [name, value] : query->as_object()) sas.required_query.emplace_back(name, value.as_string());
  return signer.sign(sas);
}

result<outcome> sign_azure(const json::object& file, const json::object& given) {
  const auto c = with_inputs(file, given);
  const auto kind = text(c, "kind");
  const auto account = text(file.contains("account") ? file : c, "account");
  TRY(const auto signer, auth::azure_sas_signer::make(account, secret(text(file, "account_key"))));
  if (kind != "account" && kind != "service" && kind != "directory-service-sas" && kind != "user-delegation")
    return fail(errc::unsupported, "unknown kind " + kind);
  TRY(const auto made, kind == "account" ? sign_azure_account(signer, c) : sign_azure_service(signer, file, c));
  return outcome{fmt::format("{} {} {}", kind, text(c, "version"), text(c, "blob") + text(c, "directory")),
                 text(c, "string_to_sign") + "\n---\n" + sorted_query(text(c, "query")),
                 made.string_to_sign + "\n---\n" + sorted_query(made.query.reveal())};
}

// ---- files ----

using signer = std::function<result<outcome>(const json::object& file, const json::object& c)>;

struct tally {
  std::size_t equal = 0, all = 0;
  std::string first_difference;
};

/// Signs the cases of one file. A case that cannot be signed differs.
result<tally> check_file(const std::string& path, const signer& sign) {
  TRY(const auto bytes, io::read_file(path, max_file_bytes));
  tally t;
  try {  // Boost.JSON reports a file of another form by exceptions
    const auto parsed = json::parse(bytes);
    const auto& file = parsed.as_object();
    for (const auto& c : file.at("cases").as_array()) {
      ++t.all;
      const auto o = sign(file, c.as_object());
      if (o && o->got == o->expected) {
        ++t.equal;
      } else if (t.first_difference.empty()) {
        const auto where = fmt::format("first that differs: {}, case {}", path, t.all);
        t.first_difference = o ? fmt::format("{} ({})\nexpected:\n{}\ngot:\n{}\n", where, o->name, o->expected, o->got)
                               : fmt::format("{}: {}\n", where, o.error().message());
      }
    }
  } catch (const std::exception& e) {
    return fail(errc::invalid_argument, fmt::format("not a vector file, case {}: {}", t.all, e.what()));
  }
  if (t.all == 0) return fail(errc::invalid_argument, "holds no case");
  return t;
}

/// Prints the tally of each file and of all; true when all cases of all files are equal.
bool check_files(std::span<char*> paths, const signer& sign) {
  tally total;
  bool readable = true;
  for (const std::string path : paths) {
    auto t = check_file(path, sign);
    if (!t) {
      fmt::print(stderr, "evp-vectors: {}: {}\n", path, t.error().message());
      readable = false;
      continue;
    }
    if (paths.size() > 1) fmt::print("{}: {} of {}\n", path, t->equal, t->all);
    total.equal += t->equal;
    total.all += t->all;
    if (total.first_difference.empty()) total.first_difference = std::move(t->first_difference);
  }
  fmt::print("{} of {} equal\n{}", total.equal, total.all, total.first_difference);
  return readable && total.all > 0 && total.equal == total.all;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view type = argc > 1 ? argv[1] : "";
  if (type == "--help" || type == "-h") {
    fmt::print("{}", usage);
    return 0;
  }
  signer sign;
  if (type == "s3" || type == "aws" || type == "minio") sign = sign_s3;
  if (type == "azure") sign = sign_azure;
  if (!sign || argc < 3) {
    fmt::print(stderr, "{}", usage);
    return 2;
  }
  return check_files(std::span(argv + 2, std::size_t(argc - 2)), sign) ? 0 : 1;
}
