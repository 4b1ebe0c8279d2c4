#include "auth/sigv4.h"

#include <algorithm>
#include <compare>
#include <cstdint>

#include "base/encoding.h"

namespace evp::auth {
namespace {

/// Encoded "name=value" pairs, in one buffer; sorted by name and value when they are written out.
class canonical_query {
 public:
  explicit canonical_query(bool bare_empty_values) : bare_(bare_empty_values) {
    text_.reserve(768);
    pairs_.reserve(12);
  }
  void add(std::string_view name, std::string_view value) {
    put(name, value, [this](std::string_view text) { append_percent_encoded(text_, text); });
  }
  /// The same for what has nothing to encode, or is encoded already.
  void add_encoded(std::string_view name, std::string_view value) {
    put(name, value, [this](std::string_view text) { text_ += text; });
  }
  /// "Task 1: Create a canonical request", step 3.
  void append_to(std::string& out) {
    std::sort(pairs_.begin(), pairs_.end(), [this](const pair& a, const pair& b) {
      const auto by_name = name(a) <=> name(b);
      return by_name != 0 ? by_name < 0 : value(a) < value(b);
    });
    bool first = true;
    for (const auto& p : pairs_) {
      if (!first) out += '&';
      first = false;
      out += name(p);
      if (p.value == p.end && bare_) continue;
      out += '=';
      out += value(p);
    }
  }

 private:
  struct pair {
    std::uint32_t name, name_end, value, end;
  };
  template <class Append>
  void put(std::string_view name, std::string_view value, Append append) {
    pair p{std::uint32_t(text_.size()), 0, 0, 0};
    append(name);
    p.name_end = p.value = std::uint32_t(text_.size());
    append(value);
    p.end = std::uint32_t(text_.size());
    pairs_.push_back(p);
  }
  std::string_view name(const pair& p) const { return std::string_view(text_).substr(p.name, p.name_end - p.name); }
  std::string_view value(const pair& p) const { return std::string_view(text_).substr(p.value, p.end - p.value); }

  std::string text_;
  std::vector<pair> pairs_;
  bool bare_;
};

/// White space at the ends goes, and runs of spaces within become one.
std::string canonical_value(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  for (const char c : value) {
    const char plain = c == '\t' ? ' ' : c;
    if (plain == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += plain;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

/// The fields that are signed: lower-case names in order, several of one name joined by a comma, and the list of names.
struct canonical_fields {
  std::string_view host;  ///< where it is signed
  http::headers sorted;   ///< the others
  std::string names;

  canonical_fields(const sigv4_request& request, const v4_dialect& dialect, const http::headers& more = {}) {
    sorted.reserve(request.fields.size() + more.size());
    if (dialect.lists_all_fields) host = request.sent_host();
    for (const auto* all : {&request.fields, &more})
      for (const auto& f : *all) add(f, request, dialect);
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    merge();
    each([&](std::string_view name, std::string_view) {
      if (!dialect.lists_all_fields && is_signed_anyway(name, dialect)) return;
      if (!names.empty()) names += ';';
      names += name;
    });
  }

  void append_to(std::string& out) const {
    each([&](std::string_view name, std::string_view value) {
      out.append(name).append(":").append(value).append("\n");
    });
    out.append("\n").append(names).append("\n");
  }

  /// The value of a field, or nothing.
  std::string_view value_of(std::string_view name) const { return http::find(sorted, name); }

 private:
  /// All in order of name, host among them.
  template <class Visit>
  void each(Visit visit) const {
    bool host_is_due = !host.empty();
    for (const auto& f : sorted) {
      if (host_is_due && f.name > "host") {
        visit("host", host);
        host_is_due = false;
      }
      visit(f.name, f.value);
    }
    if (host_is_due) visit("host", host);
  }

  static bool is_signed_anyway(std::string_view name, const v4_dialect& dialect) {
    return name == "content-type" || name == "content-md5" || name.starts_with(dialect.prefix);
  }
  void add(const http::header& f, const sigv4_request& request, const v4_dialect& dialect) {
    auto name = to_lower(f.name);
    if (!dialect.lists_all_fields && !is_signed_anyway(name, dialect)) {
      const auto& also = request.additional_fields;
      if (std::none_of(also.begin(), also.end(), [&](auto& a) { return http::same_name(a, name); })) return;
    }
    sorted.push_back({std::move(name), canonical_value(f.value)});
  }
  void merge() {
    for (std::size_t i = 1; i < sorted.size();) {
      if (sorted[i - 1].name != sorted[i].name) {
        ++i;
        continue;
      }
      sorted[i - 1].value.append(",").append(sorted[i].value);
      sorted.erase(sorted.begin() + std::ptrdiff_t(i));
    }
  }
};

std::string base_of(const sigv4_request& request) {
  std::string out;
  out.reserve(1024);
  out.append(request.scheme).append("://").append(request.authority);
  append_percent_encoded(out, request.path, true);
  return out;
}

std::string start_of_canonical_request(const sigv4_request& request) {
  std::string out;
  out.reserve(1024);
  out.append(request.method).append("\n");
  append_percent_encoded(out, request.signed_path.empty() ? request.path : request.signed_path, true);
  out += '\n';
  return out;  // moved: what append() returns would be copied, and the room lost
}

}  // namespace

secret v4_draft::finish(std::string_view signature) && {
  append_hex(url_until_signature, signature);
  return secret(std::move(url_until_signature));
}

sigv4_signer::sigv4_signer(aws_credentials credentials, std::string region, std::string service,
                           const v4_dialect& dialect)
    : credentials_(std::move(credentials)),
      region_(std::move(region)),
      service_(std::move(service)),
      dialect_(&dialect),
      token_encoded_(percent_encode(credentials_.session_token.reveal())) {}

secret sigv4_signer::presign(const sigv4_request& request, timestamp now, seconds expires) const {
  auto d = draft(request, now, expires);
  const auto signature = key_of(at(now)).sign(d.string_to_sign);
  return std::move(d).finish(signature);
}

v4_draft sigv4_signer::draft(const sigv4_request& request, timestamp now, seconds expires) const {
  const auto& m = at(now);
  const canonical_fields fields(request, *dialect_);

  canonical_query query(dialect_->bare_empty_values);
  for (const auto& [key, value] : request.query) query.add(key, value);
  const auto& name = dialect_->name;
  query.add_encoded(name.algorithm, dialect_->algorithm);
  query.add_encoded(name.credential, m.credential_encoded);
  query.add_encoded(name.date, m.date_time);
  query.add_encoded(name.expires, std::to_string(expires.count()));
  if (!fields.names.empty()) query.add(name.names, fields.names);
  if (!token_encoded_.empty()) query.add_encoded(name.token, token_encoded_.reveal());

  auto canonical = start_of_canonical_request(request);
  const auto query_begin = canonical.size();
  query.append_to(canonical);
  const auto query_size = canonical.size() - query_begin;
  v4_draft out;
  auto& url = out.url_until_signature;
  if (request.signed_path.empty()) {  // the path is there already, encoded
    const auto path_begin = request.method.size() + 1;
    url.reserve(1024);
    url.append(request.scheme).append("://").append(request.authority);
    url.append(canonical, path_begin, query_begin - 1 - path_begin);
  } else {
    url = base_of(request);
  }
  url.append("?").append(canonical, query_begin, query_size);
  url.append("&").append(name.signature).append("=");

  canonical += '\n';
  fields.append_to(canonical);
  const auto payload = fields.value_of(name.payload);
  canonical += !request.payload_sha256.empty() ? std::string_view(request.payload_sha256)
               : !payload.empty()              ? payload
                                               : unsigned_payload;
  out.string_to_sign = string_to_sign(m, canonical);
  return out;
}

http::headers sigv4_signer::sign_headers(const sigv4_request& request, timestamp now,
                                         std::string_view payload_sha256) const {
  const auto& m = at(now);
  const auto& name = dialect_->name;
  http::headers added{{std::string(name.date), m.date_time}, {std::string(name.payload), std::string(payload_sha256)}};
  if (!credentials_.session_token.empty())
    added.push_back({std::string(name.token), credentials_.session_token.reveal()});

  const canonical_fields fields(request, *dialect_, added);
  canonical_query query(dialect_->bare_empty_values);
  for (const auto& [key, value] : request.query) query.add(key, value);
  auto canonical = start_of_canonical_request(request);
  query.append_to(canonical);
  canonical += '\n';
  fields.append_to(canonical);
  canonical += payload_sha256;
  const auto signature = to_hex(key_of(m).sign(string_to_sign(m, canonical)));

  auto value = std::string(dialect_->algorithm) + " Credential=" + m.credential;
  if (dialect_->lists_all_fields)
    value += ", SignedHeaders=" + fields.names + ", Signature=" + signature;
  else
    value += (fields.names.empty() ? "" : ",AdditionalHeaders=" + fields.names) + ",Signature=" + signature;
  added.push_back({"Authorization", std::move(value)});
  return added;
}

std::string sigv4_signer::url_of(const sigv4_request& request, const v4_dialect& dialect) {
  auto url = base_of(request);
  if (request.query.empty()) return url;
  canonical_query query(dialect.bare_empty_values);
  for (const auto& [name, value] : request.query) query.add(name, value);
  url += '?';
  query.append_to(url);
  return url;
}

std::string sigv4_signer::sign_text(std::string_view text, timestamp now) const {
  return std::string(key_of(at(now)).sign(text));
}

std::string sigv4_signer::credential(timestamp now) const { return at(now).credential; }

const sigv4_signer::moment& sigv4_signer::at(timestamp now) const {
  const auto second = std::chrono::floor<seconds>(now);
  if (moment_.second == second) return moment_;
  moment_.second = second;
  moment_.date_time = format_basic(now);
  moment_.scope = moment_.date_time.substr(0, 8);
  moment_.scope.append("/").append(region_).append("/").append(service_).append("/").append(dialect_->terminator);
  moment_.credential = credentials_.access_key_id + "/" + moment_.scope;
  moment_.credential_encoded = percent_encode(moment_.credential);
  return moment_;
}

const hmac_key& sigv4_signer::key_of(const moment& m) const {
  if (key_ && key_scope_ == m.scope) return *key_;
  const auto step = [](const secret& key, std::string_view text) {
    return secret(std::string(hmac(hash::sha256, key.reveal(), text)));
  };
  const secret seed(std::string(dialect_->key_prefix) + credentials_.secret_access_key.reveal());
  const auto by_service = step(step(step(seed, std::string_view(m.scope).substr(0, 8)), region_), service_);
  key_.emplace(hash::sha256, step(by_service, dialect_->terminator).reveal());
  key_scope_ = m.scope;
  return *key_;
}

std::string sigv4_signer::string_to_sign(const moment& m, std::string_view canonical_request) const {
  std::string out;
  out.reserve(192);
  out.append(dialect_->algorithm).append("\n").append(m.date_time).append("\n").append(m.scope).append("\n");
  append_hex(out, digest(hash::sha256, canonical_request));
  return out;
}

}  // namespace evp::auth
